"""The moving statistics of batch norm, which a forward pass moves before anybody knows whether the step counts."""

from collections.abc import Mapping

import keras
import tensorflow as tf


class MovingStatistics:
    """The variables that are not trained, as a step found them; in the step they move once, or not at all.

    Each replica does this for its own copies, which differ where batch norm does not see all replicas.
    """

    def __init__(self, model: keras.Model) -> None:
        """Notes their values; call it before the step's first forward pass."""
        self._paths = [variable.path for variable in model.non_trainable_variables]
        self._variables = [variable.value for variable in model.non_trainable_variables]
        self._before = [tf.convert_to_tensor(variable) for variable in self._variables]
        self._moved: list[list[tf.Tensor]] = []

    def note(self) -> None:
        """Notes where a forward pass has moved them."""
        self._moved.append([tf.convert_to_tensor(variable) for variable in self._variables])

    def put_back(self) -> None:
        """Gives them the values that the step found, so that the next forward pass starts from the same."""
        for variable, before in zip(self._variables, self._before, strict=True):
            variable.assign(before)

    def means(self) -> list[tf.Tensor]:
        """Returns the means of where the noted forward passes have moved them."""
        if len(self._moved) == 1:
            return self._moved[0]
        return [tf.add_n(values) / len(values) for values in zip(*self._moved, strict=True)]

    def settle(self, finite: tf.Tensor, frozen: Mapping[str, tf.Tensor]) -> None:
        """Gives them those means, or where they stay the values that the step found, bit for bit.

        Args:
            finite: bool scalar; where false, all of them stay.
            frozen: bool scalars by the path of a variable; where true, that one stays.
        """
        moves = [finite & ~frozen[path] if path in frozen else finite for path in self._paths]
        for variable, move, mean, before in zip(self._variables, moves, self.means(), self._before, strict=True):
            variable.assign(tf.where(move, mean, before))
