"""Joins small tensors, so that arithmetic on all of them is one operation.

A network has hundreds of vectors of some hundred numbers each. On a GPU an operation on such a vector takes hardly more
time than its start. Arithmetic element by element gives the same numbers on joined tensors.
"""

import itertools
from collections.abc import Hashable, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.distributed import gpus

#: Numbers in a tensor above which joining, which copies, costs more than it saves. A GPU copies fast and starts slowly.
_SMALL_ON_CPU, _SMALL_ON_GPU = 16_384, 131_072


class Packing:
    """A division of tensors into groups: each large tensor alone, small tensors of one kind together.

    Attributes:
        groups: Indices of the tensors in each group, by size.
    """

    def __init__(self, shapes: Sequence[tf.TensorShape], kinds: Sequence[Hashable]) -> None:
        """Divides tensors into groups.

        Args:
            shapes: Their shapes.
            kinds: A key for each tensor; only small tensors with equal keys are joined.
        """
        self._shapes = list(shapes)
        largest = _SMALL_ON_GPU if gpus.are_used() else _SMALL_ON_CPU
        groups: dict[Hashable, list[int]] = {}
        for index, (shape, kind) in enumerate(zip(shapes, kinds, strict=True)):
            is_small = shape.num_elements() <= largest
            groups.setdefault((is_small, kind if is_small else index), []).append(index)
        self.groups = [sorted(group, key=lambda index: shapes[index].num_elements()) for group in groups.values()]

    def joined(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns a tensor for each group: the tensor itself, or several tensors as one vector."""
        return [self.join(group, tensors) for group in self.groups]

    def join(self, group: Sequence[int], tensors: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the tensors of a group, which are some of all tensors, as `joined` does."""
        if len(group) == 1:
            return tensors[group[0]]
        return tf.concat([tf.reshape(tensors[index], [-1]) for index in group], axis=0)

    def spread(self, values: tf.Tensor) -> list[tf.Tensor]:
        """Returns one value per tensor, [n], in a form that broadcasts to each result of `joined`."""
        scalars = tf.unstack(values)
        return [
            scalars[group[0]] if len(group) == 1 else tf.gather(values, self._owners(group)) for group in self.groups
        ]

    def separated(self, joined: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the single tensors, in their own order; the inverse of `joined`."""
        parts: dict[int, tf.Tensor] = {}
        for group, tensor in zip(self.groups, joined, strict=True):
            parts |= zip(group, self.separate(group, tensor), strict=True)
        return [parts[index] for index in range(len(self._shapes))]

    def separate(self, group: Sequence[int], joined: tf.Tensor) -> list[tf.Tensor]:
        """Returns the single tensors of a group; the inverse of `join`."""
        split = [joined] if len(group) == 1 else tf.split(joined, self._sizes(group))
        return [tf.reshape(part, self._shapes[index]) for index, part in zip(group, split, strict=True)]

    def l2_losses(self, joined: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns, for each group, half the sum of squares of each of its tensors, [tensors]."""
        return [
            tf.reshape(tf.nn.l2_loss(tensor), [1]) if len(group) == 1 else self._l2_losses(group, tensor)
            for group, tensor in zip(self.groups, joined, strict=True)
        ]

    def _l2_losses(self, group: Sequence[int], joined: tf.Tensor) -> tf.Tensor:
        # Tensors of one size stand together and are summed as rows. A sum by segments may differ between GPUs.
        blocks = [(size, len(list(equal))) for size, equal in itertools.groupby(self._sizes(group))]
        parts = tf.split(tf.square(joined), [size * count for size, count in blocks])
        rows = (tf.reshape(part, [count, size]) for part, (size, count) in zip(parts, blocks, strict=True))
        return 0.5 * tf.concat([tf.reduce_sum(each, axis=1) for each in rows], axis=0)

    def in_order(self, of_groups: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns one value per tensor, [n], in the order of the tensors, from values per group."""
        return tf.gather(tf.concat(of_groups, axis=0), np.argsort(np.concatenate(self.groups)))

    def num_elements(self) -> list[int]:
        """Returns the count of numbers in each group."""
        return [sum(self._sizes(group)) for group in self.groups]

    def _sizes(self, group: Sequence[int]) -> list[int]:
        return [self._shapes[index].num_elements() for index in group]

    def _owners(self, group: Sequence[int]) -> np.ndarray:
        """Returns the index of the tensor to which each number of the joined vector belongs, int32."""
        return np.repeat(np.array(group, np.int32), self._sizes(group))
