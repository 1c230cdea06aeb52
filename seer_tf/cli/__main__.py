"""Runs `python -m seer_tf.cli COMMAND [flags]`."""

from seer_tf.cli import entry

entry.main()
