"""Runs the command `linear_svm` from a checkout; `seer_tf/cli/linear_svm.py` is the command."""

from seer_tf.cli import entry

entry.start("linear_svm")
