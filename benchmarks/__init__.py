"""Benchmarks of seer_tf against its peers, side by side in one run: `python -m benchmarks` (`__main__.py`)."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # seer_tf sets it too, but some programs import TensorFlow first
