"""Runs the command `prepare_shards` from a checkout; `seer_tf/cli/prepare_shards.py` is the command."""

from seer_tf.cli import entry

entry.start("prepare_shards")
