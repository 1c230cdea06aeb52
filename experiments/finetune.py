"""Runs the command `finetune` from a checkout; `seer_tf/cli/finetune.py` is the command."""

from seer_tf.cli import entry

entry.start("finetune")
