"""Runs the command `extract_features` from a checkout; `seer_tf/cli/extract_features.py` is the command."""

from seer_tf.cli import entry

entry.start("extract_features")
