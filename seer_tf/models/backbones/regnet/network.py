"""RegNetY, the backbone of SEER, as a functional Keras model.

The architecture is that of ClassyVision's `models/anynet.py`: a stem, then stages of residual bottleneck blocks with
grouped convolutions and squeeze-and-excitation. The first block of every stage halves the resolution.
"""

import dataclasses
import functools
from typing import Any

import keras
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models import remat
from seer_tf.models.backbone import Backbone
from seer_tf.models.backbones.regnet import design as regnet_design
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.models.layers import BatchNormalization, Conv2D, SqueezeExcitation, convolved_and_normalized
from seer_tf.models.remat import BatchStatistics
from seer_tf.models.stem import ConvolutionStem


@keras.saving.register_keras_serializable(package="seer_tf")
class Stem(ConvolutionStem):
    """A 3 x 3 convolution, batch normalisation and ReLU."""

    KERNEL_SIZE = 3


@keras.saving.register_keras_serializable(package="seer_tf")
class BottleneckBlock(keras.layers.Layer):
    """ReLU(shortcut(x) + f(x)), with f: 1 x 1, grouped 3 x 3, squeeze-and-excitation, 1 x 1.

    The convolutions in f are called a, b and c, as in the released code (`ResBottleneckBlock`). The shortcut is the
    identity, or a projection if the shape changes.
    """

    def __init__(
        self,
        width: int,
        *,
        group_width: int,
        strides: int = 1,
        synchronized: bool = False,
        group_replicas: int = 0,
        keeps_convolutions_only: bool = False,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            width: Number of channels, both inside the block and in its output.
            group_width: Number of channels in a group of the 3 x 3 convolution. It divides the width.
            strides: Stride of the 3 x 3 convolution and of the shortcut.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            keeps_convolutions_only: Whether the backward pass recomputes the layers between the convolutions.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.width, self.group_width, self.strides = width, group_width, strides
        self.synchronized, self.group_replicas = synchronized, group_replicas
        self.keeps_convolutions_only = keeps_convolutions_only
        self.a = self._conv("a", 1)
        self.a_bn = self._bn("a_bn")
        self.b = self._conv("b", 3, strides=strides, groups=width // group_width)
        self.b_bn = self._bn("b_bn")
        self.c = self._conv("c", 1)
        self.c_bn = self._bn("c_bn")

    def _conv(self, name: str, kernel_size: int, **kwargs: int) -> Conv2D:
        return Conv2D(self.width, kernel_size, name=name, dtype=self.dtype_policy, **kwargs)

    def _bn(self, name: str) -> BatchNormalization:
        return BatchNormalization(
            synchronized=self.synchronized, group_replicas=self.group_replicas, name=name, dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Builds all layers. The squeeze-and-excitation and the shortcut depend on the input width."""
        squeeze_width = regnet_design.squeeze_width(input_shape[-1])
        self.se = SqueezeExcitation(squeeze_width, name="se", dtype=self.dtype_policy)
        self.shortcut = self.shortcut_bn = None
        if self.strides != 1 or input_shape[-1] != self.width:
            self.shortcut = self._conv("shortcut", 1, strides=self.strides)
            self.shortcut_bn = self._bn("shortcut_bn")
            self.shortcut.build(input_shape)
            self.shortcut_bn.build(self.compute_output_shape(input_shape))
        shape = input_shape
        for layer in (self.a, self.a_bn, self.b, self.b_bn, self.se, self.c, self.c_bn):
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
        if training and self.keeps_convolutions_only:
            x = remat.recomputed(self._after_a)(self.a(inputs))
            x = remat.recomputed(self._after_b)(x)
            x = self.c_bn(x, training=True)
        else:
            x = normalized(self.a, self.a_bn, inputs, relu=True)
            x = normalized(self.b, self.b_bn, x, relu=True)
            x = normalized(self.c, self.c_bn, self.se(x))
        return tf.nn.relu(shortcut + x)

    def _after_a(self, x: tf.Tensor, statistics: BatchStatistics) -> tf.Tensor:
        """Computes the output of b from the output of a. The backward pass does not need the output of b again."""
        return self.b(tf.nn.relu(self.a_bn(x, training=True, statistics=statistics)))

    def _after_b(self, x: tf.Tensor, statistics: BatchStatistics) -> tf.Tensor:
        """Computes the output of c from the output of b."""
        return self.c(self.se(tf.nn.relu(self.b_bn(x, training=True, statistics=statistics))))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        return self.b.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("width", "group_width", "strides", "synchronized", "group_replicas", "keeps_convolutions_only")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="seer_tf")
class RegNetY(Backbone):
    """A RegNetY without a head, from normalised images [B, h, w, 3] to the last stage [B, h', w', C].

    Attributes:
        pyramid_outputs: Symbolic outputs of the stem ("P1") and of the stages ("P2" and so on).
        licence: Licence of the weights; empty if unknown.
    """

    def __init__(
        self,
        variant: str = "400MF",
        *,
        design: RegNetDesign | None = None,
        stem_width: int = regnet_design.STEM_WIDTH,
        stem_stride: int = 2,
        synchronized: bool = False,
        group_replicas: int = 0,
        activation_checkpointing: str = "none",
        licence: str = "",
        name: str = "regnety",
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        """Makes the network with fresh weights.

        Args:
            variant: A name of `regnet_design.VARIANTS`.
            design: Design to use instead of the variant's.
            stem_width: Number of channels after the stem.
            stem_stride: Stride of the stem: 2 as released, 1 for small images.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            activation_checkpointing: What the backward pass recomputes. With "none" it recomputes nothing, with
                "convolution" the layers between one convolution and the next, with "block" each block from its input,
                with "stage" each stage from its input. In the last two cases other layers contain the blocks; the paths
                of variables stay the same.
            licence: Licence of the weights that the network will get. Every copy and file carries the licence.
            name: Name of the model.
            dtype: Dtype or dtype policy of every layer; None for Keras's global policy.
            **kwargs: Further arguments of `keras.Model`.

        Raises:
            InputError: The variant or the kind of checkpointing does not exist, or the stem's stride is not 1 or 2.
        """
        if stem_stride not in (1, 2):
            raise InputError(f"stem_stride is {stem_stride}; it must be 1 or 2.")
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        image = keras.Input((None, None, 3), name="image", dtype=policy.variable_dtype)
        layer_kwargs = {"synchronized": synchronized, "group_replicas": group_replicas, "dtype": policy}
        x = Stem(stem_width, strides=stem_stride, name="stem", **layer_kwargs)(image)
        pyramid = {"P1": x}
        for number, stage in enumerate((design or regnet_design.design(variant)).stages(), start=1):
            blocks = [
                BottleneckBlock(
                    stage.width,
                    group_width=stage.group_width,
                    strides=2 if block == 1 else 1,
                    keeps_convolutions_only=activation_checkpointing == "convolution",
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
        self.dtype_policy = policy  # a functional model does not take it as an argument
        self.pyramid_outputs = pyramid
        self.variant, self.design, self.stem_width = variant, design, stem_width
        self.stem_stride, self.synchronized, self.group_replicas = stem_stride, synchronized, group_replicas
        self.activation_checkpointing, self.licence = activation_checkpointing, licence

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, as JSON types."""
        names = ("variant", "stem_width", "stem_stride", "synchronized", "group_replicas", "activation_checkpointing")
        return {
            **{name: getattr(self, name) for name in (*names, "licence", "name", "trainable")},
            "design": dataclasses.asdict(self.design) if self.design else None,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "RegNetY":
        """Makes the network that `get_config` describes, with fresh weights."""
        config = dict(config)
        if config.get("design"):
            config["design"] = RegNetDesign(**config["design"])
        return cls(**config)
