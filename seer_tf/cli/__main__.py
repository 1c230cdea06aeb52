"""Runs `python -m seer_tf.cli COMMAND [flags]`."""

from seer_tf.cli import entry

__spec__ = None  # without this, processes that a command starts would import this file too

if __name__ == "__main__":
    entry.main()
