"""Runs the command `copy_detection` from a checkout; `seer_tf/cli/copy_detection.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("copy_detection")
