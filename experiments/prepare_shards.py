"""Runs the command `prepare_shards` from a checkout; `seer_tf/cli/prepare_shards.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("prepare_shards")
