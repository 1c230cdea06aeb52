"""The stem of a convolutional backbone."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from seer_tf.models.layers import BatchNormalization, Conv2D, convolved_and_normalized


class ConvolutionStem(keras.layers.Layer):
    """A convolution, batch normalisation and ReLU: the beginning of a backbone.

    Attributes:
        KERNEL_SIZE: Side of the kernel, which a subclass sets.
    """

    KERNEL_SIZE: ClassVar[int]

    def __init__(
        self, width: int, *, strides: int = 2, synchronized: bool = False, group_replicas: int = 0, **kwargs: Any
    ) -> None:
        """Makes the layer.

        Args:
            width: Output channels.
            strides: Stride of the convolution.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.width, self.strides = width, strides
        self.synchronized, self.group_replicas = synchronized, group_replicas
        self.conv = Conv2D(width, self.KERNEL_SIZE, strides=strides, name="conv", dtype=self.dtype_policy)
        self.bn = BatchNormalization(
            synchronized=synchronized, group_replicas=group_replicas, name="bn", dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Builds convolution and batch normalisation."""
        self.conv.build(input_shape)
        self.bn.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns [B, h, w, width]."""
        return convolved_and_normalized(self.conv, self.bn, inputs, relu=True, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("width", "strides", "synchronized", "group_replicas")}
        return {**super().get_config(), **own}
