"""Runs the command `report` from a checkout; `seer_tf/cli/report.py` is the command."""

from seer_tf.cli import entry

entry.start("report")
