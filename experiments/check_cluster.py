"""Runs the command `check_cluster` from a checkout; `seer_tf/cli/check_cluster.py` is the command."""

from seer_tf.cli import entry

entry.start("check_cluster")
