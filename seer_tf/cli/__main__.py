"""Runs `python -m seer_tf.cli COMMAND [flags]`."""

from seer_tf.cli import entry

__spec__ = None  # without it, processes that a command starts import this file as well, and are quiet

if __name__ == "__main__":
    entry.main()
