"""What the commands that train share: their end when they are stopped."""

import sys

from seer_tf.cli import command
from seer_tf.training.loop import RunResult
from seer_tf.training.run_directory import RunDirectory


def end_unfinished(outcome: RunResult, directory: RunDirectory, num_steps: int) -> None:
    """Says where a run was stopped and ends with `TRY_AGAIN`; does nothing if the run is complete.

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
        where, then = "stopped before the first step, so nothing is saved", "starts it again"
    print(f"{outcome.stopped_by}: {where}; the same command {then}", flush=True)
    sys.exit(command.TRY_AGAIN)
