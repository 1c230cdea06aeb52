"""Runs the command `plan_run` from a checkout; `seer_tf/cli/plan_run.py` is the command."""

from seer_tf.cli import entry

if __name__ == "__main__":  # processes that the command starts import this file
    entry.start("plan_run")
