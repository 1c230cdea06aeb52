"""Runs the command `compare_methods` from a checkout; `seer_tf/cli/compare_methods.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("compare_methods")
