"""This against its peers, side by side in one run: `python -m benchmarks` (`__main__.py`)."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as seer_tf does, which some programs import after TensorFlow
