"""The binaries: flags → config → calls into the library. They import this first; TensorFlow reads what it sets."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as seer_tf does, which they import after TensorFlow
