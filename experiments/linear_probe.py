"""Runs the command `linear_probe` from a checkout; `seer_tf/cli/linear_probe.py` is the command."""

from seer_tf.cli import entry

entry.start("linear_probe")
