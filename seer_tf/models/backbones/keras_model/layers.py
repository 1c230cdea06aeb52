"""Layers of Keras in the form that a backbone needs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models.layers import BatchNormalization
from seer_tf.precision import at_least_float32

_DROPOUT = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
)
_TAKEN = ("head", "projection", "predictor")
_IN_FULL_PRECISION = (keras.layers.Rescaling, keras.layers.Normalization)
# As in RegNetY. With MobileNetV3's 0.999, half of the initial statistics would be left after some hundred steps.
_MOST_MOMENTUM = 0.9


@keras.saving.register_keras_serializable(package="seer_tf")
class KerasBatchNormalization(BatchNormalization):
    """Batch normalisation with the arguments of Keras's: scale or centre may be absent."""

    def __init__(self, *, center: bool = True, scale: bool = True, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            center: Whether beta is trained; otherwise it stays zero.
            scale: Whether gamma is trained; otherwise it stays one.
            **kwargs: Further arguments of `BatchNormalization`.
        """
        super().__init__(**kwargs)
        self.center, self.scale = center, scale

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes gamma, beta, moving_mean and moving_variance, each [C]."""
        super().build(input_shape)
        self.gamma.trainable, self.beta.trainable = self.scale, self.center

    def call(  # type: ignore[override]
        self, inputs: tf.Tensor, training: bool | None = None, mask: None = None
    ) -> tf.Tensor:
        """Normalises [..., C]. The mask, which Keras's layer takes, is None for images."""
        return super().call(inputs, training=training)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "center": self.center, "scale": self.scale}


@keras.saving.register_keras_serializable(package="seer_tf")
class GroupedConv2D(keras.layers.Conv2D):
    """Keras's convolution in groups, by operations that have gradients on a CPU and exist in every export format."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolves [B, h, w, C] with a kernel [k, k, C / groups, filters]."""
        kernel = tf.convert_to_tensor(kernel)
        how: dict[str, Any] = {"padding": self.padding.upper(), "dilations": list(self.dilation_rate)}
        if kernel.shape[2] == 1:
            of_channels = tf.reshape(kernel, [*kernel.shape[:2], self.groups, -1])  # [k, k, C, filters / C]
            return tf.nn.depthwise_conv2d(inputs, of_channels, strides=[1, *self.strides, 1], **how)
        parts = zip(tf.split(inputs, self.groups, axis=-1), tf.split(kernel, self.groups, axis=-1), strict=True)
        return tf.concat([tf.nn.conv2d(x, k, strides=list(self.strides), **how) for x, k in parts], axis=-1)


@keras.saving.register_keras_serializable(package="seer_tf")
class FixedNormalization(keras.layers.Layer):
    """Keras's `Normalization` with given numbers. They are constants of the graph, which every export format keeps."""

    def __init__(self, mean: Sequence[float], variance: Sequence[float], **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            mean: Mean of each channel.
            variance: Variance of each channel.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.mean, self.variance = tuple(mean), tuple(variance)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns (inputs - mean) / standard deviation for inputs [..., C]."""
        deviation = tf.sqrt(tf.constant(self.variance, inputs.dtype))
        return (inputs - tf.constant(self.mean, inputs.dtype)) / tf.maximum(deviation, keras.config.epsilon())

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "mean": list(self.mean), "variance": list(self.variance)}


def translated(layer: Any, *, policy: keras.DTypePolicy, norm: Mapping[str, Any], stem: str) -> Any:
    """Returns a fresh copy of a layer for training on any number of devices.

    Batch normalisation becomes ours, with a momentum of 0.9 at most. Dropout does nothing, since a step must give the
    same result on any number of replicas.

    Args:
        layer: Layer, or another operation, of a functional model.
        policy: Dtype policy of the copy.
        norm: Arguments `synchronized` and `group_replicas` of batch normalisation.
        stem: Name of the convolution whose stride is halved; empty for none.

    Raises:
        InputError: The layer cannot be trained here.
    """
    if not isinstance(layer, keras.layers.Layer):
        return layer  # it has no weights
    full = keras.DTypePolicy(at_least_float32(policy.compute_dtype))
    config = {**layer.get_config(), "dtype": full if isinstance(layer, _IN_FULL_PRECISION) else policy}
    if layer.name == stem:
        config["strides"] = [side // 2 for side in layer.strides]
    if isinstance(layer, _DROPOUT):
        config["rate"] = 0.0
    if isinstance(layer, keras.layers.BatchNormalization):
        return _normalization(layer, config, norm)
    if isinstance(layer, BatchNormalization):
        config |= norm
    if _has_fixed_numbers(layer):
        numbers = {name: np.ravel(config[name]).tolist() for name in ("mean", "variance")}
        return FixedNormalization(**numbers, name=layer.name, dtype=config["dtype"])
    kind = GroupedConv2D if type(layer) is keras.layers.Conv2D and layer.groups > 1 else type(layer)
    return kind.from_config(config)


def _has_fixed_numbers(layer: Any) -> bool:
    """Returns whether a layer is Keras's `Normalization` over the last axis with numbers that it was given."""
    if type(layer) is not keras.layers.Normalization or layer.invert or layer.input_mean is None:
        return False
    return tuple(layer.axis) in {(-1,), (len(layer.input.shape) - 1,)}


def _normalization(
    layer: keras.layers.BatchNormalization, config: Mapping[str, Any], norm: Mapping[str, Any]
) -> KerasBatchNormalization:
    if layer.axis not in (-1, layer.input_spec.ndim - 1) or layer.renorm:
        raise InputError(
            f"the batch normalisation {layer.name} is not over the last axis, or it renormalises; make it a plain one"
        )
    kept = {name: config[name] for name in ("name", "trainable", "dtype", "epsilon", "center", "scale")}
    return KerasBatchNormalization(momentum=min(layer.momentum, _MOST_MOMENTUM), **kept, **norm)


def check_trainable(model: keras.Model, *, synchronized: bool) -> None:
    """Raises an error if a step with this model would not be the same on other devices, or after a pause.

    Args:
        model: Model of translated layers.
        synchronized: Whether several replicas share their batch normalisation statistics.

    Raises:
        InputError: A layer draws random numbers, holds a batch normalisation of Keras's, or shares a name.
    """
    parts = [part for part in model._flatten_layers(include_self=False)]
    for part in parts:
        if getattr(part, "seed_generator", None) is not None:
            raise InputError(
                f"the layer {part.name} of the network draws random numbers, and a run could not continue bit for bit; "
                "leave the layer out"
            )
        if synchronized and isinstance(part, keras.layers.BatchNormalization):
            raise InputError(
                f"the batch normalisation {part.name} is inside another layer, so it cannot be synchronised over "
                "several replicas; take seer_tf.models.layers.BatchNormalization there, or one device"
            )
    if taken := next((layer.name for layer in model.layers if layer.name in _TAKEN), None):
        raise InputError(f"a layer of the network is named {taken}, as is a part on top of it; give it another name")
    paths = [variable.path for variable in model.variables]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise InputError(f"the network has two weights named {twice}; give its layers names of their own")
