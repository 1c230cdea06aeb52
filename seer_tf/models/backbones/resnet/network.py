"""ResNet and ResNeXt as functional Keras models."""

import dataclasses
import functools
from typing import Any

import keras
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models import remat
from seer_tf.models.backbone import Backbone
from seer_tf.models.backbones.resnet.design import STEM_WIDTH, VARIANTS, ResNetDesign
from seer_tf.models.layers import BatchNormalization, Conv2D, convolved_and_normalized
from seer_tf.models.remat import BatchStatistics
from seer_tf.models.stem import ConvolutionStem


@keras.saving.register_keras_serializable(package="seer_tf")
class ResNetStem(ConvolutionStem):
    """A 7 x 7 convolution, batch normalisation, ReLU, and a 3 x 3 maximum with stride 2."""

    KERNEL_SIZE = 7

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns [B, h, w, width]."""
        x = super().call(inputs, training=training)
        # After ReLU nothing is below zero, so zeros around the map change no maximum.
        return tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        batch, *sides, channels = super().compute_output_shape(input_shape)
        return (batch, *(None if side is None else -(-side // 2) for side in sides), channels)


@keras.saving.register_keras_serializable(package="seer_tf")
class ResidualBlock(keras.layers.Layer):
    """ReLU(shortcut(x) + f(x)), with f: 1 x 1, 3 x 3 with the stride and in groups, 1 x 1."""

    def __init__(
        self,
        width: int,
        *,
        inner_width: int,
        groups: int = 1,
        strides: int = 1,
        synchronized: bool = False,
        group_replicas: int = 0,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            width: Number of output channels.
            inner_width: Number of channels of the first two convolutions.
            groups: Number of groups of the 3 x 3 convolution.
            strides: Stride of the 3 x 3 convolution and of the shortcut.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.width, self.inner_width, self.groups, self.strides = width, inner_width, groups, strides
        self.synchronized, self.group_replicas = synchronized, group_replicas
        self.a, self.a_bn = self._pair("a", inner_width, 1)
        self.b, self.b_bn = self._pair("b", inner_width, 3, strides=strides, groups=groups)
        self.c, self.c_bn = self._pair("c", width, 1)

    def _pair(self, name: str, width: int, kernel_size: int, **kwargs: int) -> tuple[Conv2D, BatchNormalization]:
        """Returns a convolution and its normalisation."""
        replicas: dict[str, Any] = {"synchronized": self.synchronized, "group_replicas": self.group_replicas}
        conv = Conv2D(width, kernel_size, name=name, dtype=self.dtype_policy, **kwargs)
        return conv, BatchNormalization(name=f"{name}_bn", dtype=self.dtype_policy, **replicas)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Builds all layers. The shortcut is a projection if the shape changes."""
        self.shortcut = self.shortcut_bn = None
        if self.strides != 1 or input_shape[-1] != self.width:
            self.shortcut, self.shortcut_bn = self._pair("shortcut", self.width, 1, strides=self.strides)
            self.shortcut.build(input_shape)
            self.shortcut_bn.build(self.compute_output_shape(input_shape))
        shape = input_shape
        for layer in (self.a, self.a_bn, self.b, self.b_bn, self.c, self.c_bn):
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, statistics: BatchStatistics | None = None
    ) -> tf.Tensor:
        """Returns [B, h, w, width]; `training` and `statistics` are those of `BatchNormalization`."""
        normalized = functools.partial(convolved_and_normalized, training=training, statistics=statistics)
        shortcut = inputs
        if self.shortcut is not None and self.shortcut_bn is not None:
            shortcut = normalized(self.shortcut, self.shortcut_bn, inputs)
        x = normalized(self.a, self.a_bn, inputs, relu=True)
        x = normalized(self.b, self.b_bn, x, relu=True)
        return tf.nn.relu(shortcut + normalized(self.c, self.c_bn, x))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        return (*self.b.compute_output_shape(input_shape)[:-1], self.width)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("width", "inner_width", "groups", "strides", "synchronized", "group_replicas")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="seer_tf")
class ResNet(Backbone):
    """A ResNet or ResNeXt without a head, from normalised images [B, h, w, 3] to the last stage [B, h', w', C]."""

    def __init__(
        self,
        variant: str = "resnet50",
        *,
        design: ResNetDesign | None = None,
        stem_stride: int = 2,
        synchronized: bool = False,
        group_replicas: int = 0,
        activation_checkpointing: str = "none",
        licence: str = "",
        name: str = "resnet",
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        """Makes the network with fresh weights.

        Args:
            variant: A name of `design.VARIANTS`.
            design: Design to use instead of the variant's.
            stem_stride: Stride of the 7 x 7 convolution: 2 as published, 1 for small images.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            activation_checkpointing: What the backward pass recomputes: "none", each "block" or each "stage".
            licence: Licence of the weights that the network will get.
            name: Name of the model.
            dtype: Dtype or dtype policy of every layer; None for Keras's global policy.
            **kwargs: Further arguments of `keras.Model`.

        Raises:
            InputError: The variant or the kind of checkpointing does not exist.
        """
        if design is None and variant not in VARIANTS:
            raise InputError.unknown("ResNet variant", variant, VARIANTS)
        if activation_checkpointing == "convolution":
            raise InputError("activation_checkpointing=convolution: a ResNet recomputes blocks or stages; set another")
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        layer_kwargs = {"synchronized": synchronized, "group_replicas": group_replicas, "dtype": policy}
        image = keras.Input((None, None, 3), name="image", dtype=policy.variable_dtype)
        x = ResNetStem(STEM_WIDTH, strides=stem_stride, name="stem", **layer_kwargs)(image)
        pyramid = {}
        for number, stage in enumerate((design or VARIANTS[variant]).stages(), start=1):
            blocks = [
                ResidualBlock(
                    stage.width,
                    inner_width=stage.inner_width,
                    groups=stage.groups,
                    strides=stage.strides if block == 1 else 1,
                    name=f"stage{number}_block{block}",
                    **layer_kwargs,
                )
                for block in range(1, stage.depth + 1)
            ]
            for layer in remat.checkpointed(
                blocks, activation_checkpointing, stage_name=f"stage{number}", input_shape=x.shape
            ):
                x = layer(x)
            pyramid[f"P{number + 1}"] = x
        super().__init__(inputs=image, outputs=x, name=name, **kwargs)
        self.dtype_policy, self.pyramid_outputs = policy, pyramid
        self.variant, self.design, self.stem_stride, self.licence = variant, design, stem_stride, licence
        self.synchronized, self.group_replicas = synchronized, group_replicas
        self.activation_checkpointing = activation_checkpointing

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as JSON types."""
        names = ("variant", "stem_stride", "synchronized", "group_replicas", "activation_checkpointing", "licence")
        return {
            **{name: getattr(self, name) for name in (*names, "name", "trainable")},
            "design": dataclasses.asdict(self.design) if self.design else None,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "ResNet":
        """Makes the network that `get_config` describes, with fresh weights."""
        config = dict(config)
        if config.get("design"):
            config["design"] = ResNetDesign(**{**config["design"], "depths": tuple(config["design"]["depths"])})
        return cls(**config)
