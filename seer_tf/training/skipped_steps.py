"""Skipped steps: a step with a number that is not finite changes nothing, and too many in a row end the run."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.errors import InputError

#: More than a float16 loss scale needs to fall from its start to its right value.
MOST_IN_A_ROW = 20


class SkippedSteps:
    """Counters of skipped steps.

    Attributes:
        total: Number of skipped steps in the run, an int64 scalar variable.
        in_a_row: Number of skipped steps since the last update, an int64 scalar variable.
    """

    def __init__(self) -> None:
        """Creates the variables. Call it inside the scope of the strategy."""
        self.total = collectives.shared_variable(0, tf.int64, "skipped_steps")
        self.in_a_row = collectives.shared_variable(0, tf.int64, "skipped_in_a_row")

    def updates(self, finite: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their new values.

        Args:
            finite: Bool scalar, false if the step is skipped.
        """
        skipped = tf.cast(~finite, tf.int64)
        return [(self.total, self.total + skipped), (self.in_a_row, (self.in_a_row + 1) * skipped)]


def check_skipped(
    in_a_row: np.ndarray, first_bad: np.ndarray, first_step: int, names: Sequence[str], remedy: str
) -> None:
    """Raises an error if too many steps in a row were skipped.

    Args:
        in_a_row: Float [steps], the value of `SkippedSteps.in_a_row` after each step.
        first_bad: Float [steps], the index of the first tensor that is not finite in each step, -1 for none.
        first_step: Number of the first of these steps.
        names: Names of the tensors, by index.
        remedy: What the user can change.

    Raises:
        InputError: The message names the step and the tensor.
    """
    too_many = np.flatnonzero(in_a_row >= MOST_IN_A_ROW)
    if too_many.size:
        index = int(too_many[0])
        raise InputError(
            f"{MOST_IN_A_ROW} steps in a row were skipped because a number was not finite, at step "
            f"{first_step + index} {names[int(first_bad[index])]}: {remedy}, and start again"
        )
