"""Runs the command `check_devices` from a checkout; `seer_tf/cli/check_devices.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("check_devices")
