"""Steps that are left out because a number is not finite: they are counted, and too many in a row end the run."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.errors import InputError

#: A loss scale of float16 that starts too high is right after fewer.
MOST_IN_A_ROW = 20


class SkippedSteps:
    """The counters of the steps that were left out.

    Attributes:
        total: int64 scalar variable, in the whole run.
        in_a_row: int64 scalar variable, since the last step that was made.
    """

    def __init__(self) -> None:
        """Makes the variables; call it inside the scope of the strategy."""
        self.total = collectives.shared_variable(0, tf.int64, "skipped_steps")
        self.in_a_row = collectives.shared_variable(0, tf.int64, "skipped_in_a_row")

    def updates(self, finite: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their values after a step that was made if `finite`, a bool scalar, is true."""
        skipped = tf.cast(~finite, tf.int64)
        return [(self.total, self.total + skipped), (self.in_a_row, (self.in_a_row + 1) * skipped)]


def check_skipped(
    in_a_row: np.ndarray, first_bad: np.ndarray, first_step: int, names: Sequence[str], remedy: str
) -> None:
    """Raises where too many steps in a row were left out.

    Args:
        in_a_row: float [steps], how many steps up to each were left out.
        first_bad: float [steps], the index of the first tensor of each step that is not finite, -1 for none.
        first_step: number of the first of these steps.
        names: of the tensors.
        remedy: what to change.

    Raises:
        InputError: naming step and tensor.
    """
    too_many = np.flatnonzero(in_a_row >= MOST_IN_A_ROW)
    if too_many.size:
        index = int(too_many[0])
        raise InputError(
            f"{MOST_IN_A_ROW} steps in a row were left out because a number was not finite, at step "
            f"{first_step + index} {names[int(first_bad[index])]}: {remedy}, and start again"
        )
