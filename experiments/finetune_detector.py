"""Runs the command `finetune_detector` from a checkout; `seer_tf/cli/finetune_detector.py` is the command."""

from seer_tf.cli import entry

entry.start("finetune_detector")
