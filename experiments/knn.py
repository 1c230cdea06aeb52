"""Runs the command `knn` from a checkout; `seer_tf/cli/knn.py` is the command."""

from seer_tf.cli import entry

entry.start("knn")
