"""Runs the command `robustness` from a checkout; `seer_tf/cli/robustness.py` is the command."""

from seer_tf.cli import entry

entry.start("robustness")
