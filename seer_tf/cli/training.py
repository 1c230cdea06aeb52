"""What the training commands share: the end of a run that was stopped."""

import sys

from seer_tf.cli import command
from seer_tf.training.loop import RunResult
from seer_tf.training.run_directory import RunDirectory


def end_unfinished(outcome: RunResult, directory: RunDirectory, num_steps: int) -> None:
    """Prints where a run was stopped, and ends the process with status `TRY_AGAIN`; does nothing if it is complete.

    Args:
        outcome: Result of the training loop.
        directory: Directory of the run.
        num_steps: Length of the whole run.
    """
    if outcome.stopped_by is None:
        return
    if outcome.step in directory.checkpoint_steps():
        where, then = f"saved at step {outcome.step} of {num_steps}", "continues from there"
    else:
        where, then = "stopped before the first step, so nothing is saved", "starts the run again"
    print(f"{outcome.stopped_by}: {where}; the same command {then}", flush=True)
    sys.exit(command.TRY_AGAIN)
