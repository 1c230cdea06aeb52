"""Runs the command `demo` from a checkout; `seer_tf/cli/demo.py` is the command."""

from seer_tf.cli import entry

entry.start("demo")
