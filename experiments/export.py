"""Runs the command `export` from a checkout; `seer_tf/cli/export.py` is the command."""

from seer_tf.cli import entry

entry.start("export")
