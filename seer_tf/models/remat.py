"""Activation checkpointing (Chen et al. 2016): the backward pass recomputes what the forward pass did not keep.

`tf.recompute_grad` alone would update batch norm's moving statistics twice, and reduce over the replicas twice. So the
first pass stores its batch statistics, and the second pass reuses them unchanged.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import ACTIVATION_CHECKPOINTING
from seer_tf.errors import InputError


class BatchStatistics:
    """Batch statistics that batch normalisations compute in a first pass and reuse in a second pass.

    Attributes:
        of: Statistics by the path of the normalisation: mean [C], variance [C] and number of rows [1].
        repeated: Whether the first pass is over. From then on nothing is reduced and no moving statistic changes.
    """

    def __init__(self) -> None:
        """Begins a first pass."""
        self.of: dict[str, tuple[tf.Tensor, ...]] = {}
        self.repeated = False


def recomputed(forward: Callable[[tf.Tensor, BatchStatistics], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that keeps only its argument. The backward pass recomputes everything else.

    Args:
        forward: Function that passes its second argument to the batch normalisations that it calls.
    """
    statistics = BatchStatistics()

    def with_statistics(x: tf.Tensor) -> tf.Tensor:
        x = forward(x, statistics)
        statistics.repeated = True
        return x

    return tf.recompute_grad(with_statistics)


@keras.saving.register_keras_serializable(package="seer_tf")
class Recomputed(keras.layers.Layer):
    """Consecutive blocks. Training keeps only the first input, and the backward pass recomputes everything else."""

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
        """Returns the output of the last block, [B, h, w, C]."""
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
        """Makes the layer that `get_config` describes, with fresh weights."""
        blocks = [keras.saving.deserialize_keras_object(block) for block in config["blocks"]]
        return cls(**{**config, "blocks": blocks})


def checkpointed(
    blocks: Sequence[keras.layers.Layer], kind: str, *, stage_name: str, input_shape: tuple[int | None, ...]
) -> Sequence[keras.layers.Layer]:
    """Returns the layers of a stage.

    The blocks are built here, outside the layers that contain them, so that the paths of their variables do not depend
    on `kind`.

    Args:
        blocks: Blocks of the stage, not yet built. With the kind "convolution" the blocks recompute by themselves.
        kind: One of `ACTIVATION_CHECKPOINTING`: the unit that is recomputed at once, if any.
        stage_name: Prefix of the names of layers that contain blocks.
        input_shape: Input shape of the first block.

    Raises:
        InputError: The kind does not exist.
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
