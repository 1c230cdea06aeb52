"""Runs the command `browse_clusters` from a checkout; `seer_tf/cli/browse_clusters.py` is the command."""

from seer_tf.cli import entry

entry.start("browse_clusters")
