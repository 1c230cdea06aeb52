"""Runs the command `pretrain` from a checkout; `seer_tf/cli/pretrain.py` is the command."""

from seer_tf.cli import entry

entry.start("pretrain")
