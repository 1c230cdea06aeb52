"""The moving statistics of batch norm. Forward passes change them before the step knows whether it is skipped."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from seer_tf.optimizers.packing import Packing


class MovingStatistics:
    """The non-trainable variables of models during one step. They change once in a step, or not at all.

    Each replica handles its own copies. The copies differ if batch norm does not see all replicas.
    """

    def __init__(self, *models: keras.Model) -> None:
        """Records the current values. Call it before the first forward pass of the step.

        Args:
            *models: Models that see the images of the step.
        """
        moving = [variable for model in models for variable in moving_variables(model)]
        self._paths = [variable.path for variable in moving]
        self._variables = [variable.value for variable in moving]
        self._before = [tf.convert_to_tensor(variable) for variable in self._variables]
        self._moved: list[list[tf.Tensor]] = []

    def record(self) -> None:
        """Records the values after a forward pass."""
        self._moved.append([tf.convert_to_tensor(variable) for variable in self._variables])

    def restore(self) -> None:
        """Restores the values from the start of the step, so that every forward pass starts from the same values."""
        for variable, before in zip(self._variables, self._before, strict=True):
            variable.assign(before)

    def means(self) -> list[tf.Tensor]:
        """Returns the means of the recorded values over the forward passes."""
        if len(self._moved) == 1:
            return self._moved[0]
        return [tf.reduce_mean(tf.stack(values), axis=0) for values in zip(*self._moved, strict=True)]

    def assign(self, finite: tf.Tensor, frozen: Mapping[str, tf.Tensor]) -> None:
        """Assigns the means. A variable that must not change gets its value from the start of the step, bit for bit.

        Args:
            finite: Bool scalar; if false, no variable changes.
            frozen: Bool scalar for each path of a variable; if true, that variable does not change.
        """
        move = {id(flag): finite & ~flag for flag in frozen.values()} | {id(None): finite}
        flags = [id(frozen.get(path)) for path in self._paths]
        kinds = [(flag, before.dtype) for flag, before in zip(flags, self._before, strict=True)]
        packing = Packing([before.shape for before in self._before], kinds)
        parts = zip(packing.groups, packing.joined(self.means()), packing.joined(self._before), strict=True)
        settled = [tf.where(move[flags[group[0]]], mean, before) for group, mean, before in parts]
        for variable, value in zip(self._variables, packing.separated(settled), strict=True):
            variable.assign(value)


def moving_variables(model: keras.Model) -> list[keras.Variable]:
    """Returns the non-trainable variables of a model, without whole numbers, which count and do not move."""
    return [each for each in model.non_trainable_variables if tf.as_dtype(each.dtype).is_floating]
