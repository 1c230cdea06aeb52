"""Runs the command `linear_probe` from a checkout; `seer_tf/cli/linear_probe.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("linear_probe")
