"""Activation checkpointing (Chen et al. 2016): the backward pass computes again what the forward pass did not keep.

`tf.recompute_grad` alone would make a second update of batch norm's moving statistics, and a second reduction over the
replicas. So the first pass leaves its batch statistics behind, and the second takes them as they are.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import ACTIVATION_CHECKPOINTING
from seer_tf.errors import InputError


class BatchStatistics:
    """What the batch normalisations of some layers found in a first pass, for a second pass over the same batch.

    Attributes:
        of: Of for the path of a normalisation, what it found: the shift [C] and the shifted sums [groups, 2C + 1].
        repeated: Whether the first pass is over. From then on nothing is reduced and no moving statistic moves.
    """

    def __init__(self) -> None:
        """Begins a first pass."""
        self.of: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}
        self.repeated = False


def recomputed(forward: Callable[[tf.Tensor, BatchStatistics], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function of which only the argument is kept; the backward pass computes again what it needs.

    Args:
        forward: Gives its second argument to the batch normalisations that it calls.
    """
    statistics = BatchStatistics()

    def with_statistics(x: tf.Tensor) -> tf.Tensor:
        x = forward(x, statistics)
        statistics.repeated = True
        return x

    return tf.recompute_grad(with_statistics)


@keras.saving.register_keras_serializable(package="seer_tf")
class Recomputed(keras.layers.Layer):
    """Blocks in a row, of which in training only the input is kept; the backward pass computes the rest again."""

    def __init__(self, blocks: Sequence[keras.layers.Layer], **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            blocks: Built layers whose `call` takes `training` and `statistics`, as `BottleneckBlock`'s does.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.blocks = tuple(blocks)
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the last block's [B, h, w, C]."""
        if not training:
            return self._forward(inputs, training=False)
        return recomputed(functools.partial(self._forward, training=True))(inputs)

    def _forward(self, x: tf.Tensor, statistics: BatchStatistics | None = None, *, training: bool) -> tf.Tensor:
        for block in self.blocks:
            x = block(x, training=training, statistics=statistics)
        return x

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        for block in self.blocks:
            input_shape = block.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        blocks = [keras.saving.serialize_keras_object(block) for block in self.blocks]
        return {**super().get_config(), "blocks": blocks}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Recomputed":
        """Makes the layer of a `get_config`, with fresh weights."""
        blocks = [keras.saving.deserialize_keras_object(block) for block in config["blocks"]]
        return cls(**{**config, "blocks": blocks})


def checkpointed(
    blocks: Sequence[keras.layers.Layer], kind: str, *, stage_name: str, input_shape: tuple[int | None, ...]
) -> Sequence[keras.layers.Layer]:
    """Returns the layers that a stage is made of.

    The blocks are built here, outside of the layers that hold them, so that the paths of their variables do not depend
    on `kind`.

    Args:
        blocks: Blocks of the stage, not yet built. With the kind "convolution" the blocks recompute by themselves.
        kind: One of `ACTIVATION_CHECKPOINTING`: what is computed again at once, if anything.
        stage_name: Prefix of the names of layers that hold blocks.
        input_shape: Input shape of the first block.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in ACTIVATION_CHECKPOINTING:
        raise InputError.unknown("activation_checkpointing", kind, ACTIVATION_CHECKPOINTING)
    for block in blocks:
        block.build(input_shape)
        input_shape = block.compute_output_shape(input_shape)
    if kind in ("none", "convolution"):
        return blocks
    if kind == "block":
        return [Recomputed([block], name=f"{block.name}_recomputed", dtype=block.dtype_policy) for block in blocks]
    return [Recomputed(blocks, name=f"{stage_name}_recomputed", dtype=blocks[0].dtype_policy)]
