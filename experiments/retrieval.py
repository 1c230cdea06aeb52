"""Runs the command `retrieval` from a checkout; `seer_tf/cli/retrieval.py` is the command."""

from seer_tf.cli import entry

entry.start("retrieval")
