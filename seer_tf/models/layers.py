"""The layers of a RegNetY: convolution, batch normalisation, squeeze-and-excitation.

Shapes: B images, h x w pixels, C channels. Weights keep the layout of a convolution, [k, k, C in / groups, C out].
"""

import functools
import math
from typing import Any

import keras
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.models import convolution, normalization
from seer_tf.models.remat import BatchStatistics
from seer_tf.precision import at_least_float32

# Numbers per filter. Larger kernels occur where feature maps are small. There a pass over the kernels takes as long as
# a pass over the activations, and far longer for few images.
_SMALL_KERNEL = 512


@keras.saving.register_keras_serializable(package="seer_tf")
class Conv2D(keras.layers.Layer):
    """A convolution without bias. Its kernel size is odd, and the padding is equal on all sides, as in PyTorch.

    The initialisation is that of ClassyVision's `init_weights`: normal with variance 2 / (k * k * filters), without a
    division by the number of groups.
    """

    def __init__(self, filters: int, kernel_size: int, *, strides: int = 1, groups: int = 1, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            filters: Number of output channels.
            kernel_size: Side of the kernel, odd.
            strides: Stride in both directions.
            groups: Number of channel groups that are convolved separately.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides, self.groups = filters, kernel_size, strides, groups

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the kernel [k, k, C in / groups, filters]."""
        stddev = (2.0 / (self.kernel_size**2 * self.filters)) ** 0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1] // self.groups, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=stddev),
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolves [B, h, w, C] to [B, ceil(h / strides), ceil(w / strides), filters]."""
        return self.convolve(inputs, tf.convert_to_tensor(self.kernel))

    def convolve(
        self, inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None, *, relu: bool = False
    ) -> tf.Tensor:
        """Convolves like `call`, with a kernel derived from the layer's. Can add a bias [filters] and apply ReLU."""
        if self.kernel_size == self.strides == self.groups == 1:
            return _pointwise(inputs, kernel, bias, relu=relu)
        return convolution.convolve(inputs, kernel, bias, strides=self.strides, relu=relu)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the result."""
        sides = (None if side is None else -(-side // self.strides) for side in input_shape[1:-1])
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("filters", "kernel_size", "strides", "groups")}
        return {**super().get_config(), **own}


def _pointwise(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None, *, relu: bool) -> tf.Tensor:
    """Convolves with a 1 x 1 kernel as one matrix product, which is faster on CPUs."""
    channels, filters = kernel.shape[2:]
    outputs = tf.matmul(tf.reshape(inputs, [-1, channels]), tf.reshape(kernel, [channels, filters]))
    # Before the reshape, because only there TensorFlow fuses bias and ReLU into the product.
    outputs = convolution.finished(outputs, bias, relu=relu)
    return tf.reshape(outputs, [*keras.ops.shape(inputs)[:-1], filters])  # no operation for known sides


@keras.saving.register_keras_serializable(package="seer_tf")
class BatchNormalization(keras.layers.Layer):
    """Batch normalisation over all axes but the last, in float32 at least.

    As in PyTorch, the moving variance is the unbiased one.
    """

    def __init__(
        self,
        *,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        synchronized: bool = False,
        group_replicas: int = 0,
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            momentum: Fraction of its old value that a moving statistic keeps in a step.
            epsilon: Number added to the variance.
            synchronized: Whether statistics are taken over the images of several replicas.
            group_replicas: Number of neighbouring replicas that share statistics if synchronised; 0 for all.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        self.synchronized, self.group_replicas = synchronized, group_replicas

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes gamma, beta, moving_mean and moving_variance, each [C]."""
        self.statistics_dtype = at_least_float32(self.variable_dtype)
        add = functools.partial(self.add_weight, shape=(input_shape[-1],), dtype=self.statistics_dtype, autocast=False)
        self.gamma = add(name="gamma", initializer="ones")
        self.beta = add(name="beta", initializer="zeros")
        # The default is no aggregation: every replica assigns its own copy.
        add = functools.partial(add, trainable=False)
        self.moving_mean = add(name="moving_mean", initializer="zeros")
        self.moving_variance = add(name="moving_variance", initializer="ones")

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, statistics: BatchStatistics | None = None
    ) -> tf.Tensor:
        """Normalises [..., C]. In training it uses the batch's statistics and updates the moving ones.

        Args:
            inputs: Tensor [..., C].
            training: Whether to use the statistics of the batch.
            statistics: Batch statistics that a first pass stores and a repeated pass reuses.

        Raises:
            InputError: The replicas cannot be divided into equal groups.
        """
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if not (training and self.trainable):
            mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
            return normalization.normalized(inputs, gamma, beta, mean, variance, epsilon=self.epsilon)
        if self.synchronized or self.statistics_dtype == "float64":
            shared = self._known_or_new(inputs, statistics)
            total = self._total_of_group
            return normalization.normalized_by_shared(inputs, gamma, beta, *shared, epsilon=self.epsilon, total=total)
        if statistics and statistics.repeated:
            return normalization.normalized_by_own(inputs, gamma, beta, epsilon=self.epsilon)[0]
        variables = (self.moving_mean.value, self.moving_variance.value)
        mean, variance = map(tf.convert_to_tensor, variables)
        moving = normalization.Moving(mean, variance, self.momentum)
        outputs, *moved = normalization.normalized_by_own(inputs, gamma, beta, epsilon=self.epsilon, moving=moving)
        for variable, value in zip(variables, moved, strict=True):
            variable.assign(value)
        return outputs

    def affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the scale and the shift, [C] each, that inference applies."""
        scale = tf.math.rsqrt(self.moving_variance + self.epsilon) * self.gamma
        return scale, self.beta - self.moving_mean * scale

    def _move(self, mean: tf.Tensor, unbiased_variance: tf.Tensor) -> None:
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, unbiased_variance)):
            moving.value.assign_sub((moving - batch) * (1.0 - self.momentum))

    def _known_or_new(self, inputs: tf.Tensor, statistics: BatchStatistics | None) -> tuple[tf.Tensor, ...]:
        """Returns mean [C], variance [C] and number of rows [1] in this replica's group, and moves the moving ones."""
        if statistics and self.path in statistics.of:
            return statistics.of[self.path]
        shift = tf.convert_to_tensor(self.moving_mean)
        sums = self._in_groups(_shifted_sums(tf.stop_gradient(inputs), shift))  # [groups, 2C + 1]
        means, variances, num_rows = _moments(sums, shift)
        unbiased = variances * tf.math.divide_no_nan(num_rows, num_rows - 1.0)  # a single row has none
        self._move(*(_mean_of_groups(rows) for rows in (means, unbiased)))
        shared = tuple(self._of_own_group(rows) for rows in (means, variances, num_rows))
        if statistics:
            statistics.of[self.path] = shared
        return shared

    def _total_of_group(self, x: tf.Tensor) -> tf.Tensor:
        return self._of_own_group(self._in_groups(x))

    def _in_groups(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the sums of x over each group of replicas, [groups, ...]."""
        if not self.synchronized:
            return x[tf.newaxis]
        return collectives.all_reduce_in_groups(x, group_replicas=self.group_replicas)

    def _of_own_group(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the row of this replica's group from [groups, ...]."""
        one = rows.shape[0] == 1
        return tf.squeeze(rows, axis=0) if one else rows[collectives.group_id(group_replicas=self.group_replicas)]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("momentum", "epsilon", "synchronized", "group_replicas")}
        return {**super().get_config(), **own}


def _shifted_sums(x: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Returns the sums [2C + 1] of x - shift, of (x - shift)^2 and of 1 over this replica's rows.

    Without the shift, the moving mean, E[x^2] - E[x]^2 would cancel. One reduction over replicas serves all sums.
    """
    mean, squares, num_rows = normalization.moments(x)
    distance = mean - shift
    shifted = num_rows * distance
    return tf.concat([shifted, squares + shifted * distance, num_rows[tf.newaxis]], axis=0)


def _moments(sums: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns means [groups, C], variances [groups, C] and numbers of rows [groups, 1] from `_shifted_sums`."""
    channels = shift.shape[0]
    of_x, of_squares, num_rows = tf.split(sums, [channels, channels, 1], axis=-1)
    shifted_means = of_x / num_rows
    variances = tf.maximum(of_squares / num_rows - tf.square(shifted_means), 0.0)
    return shift + shifted_means, variances, num_rows


def _mean_of_groups(rows: tf.Tensor) -> tf.Tensor:
    return tf.squeeze(rows, axis=0) if rows.shape[0] == 1 else tf.reduce_mean(rows, axis=0)


def convolved_and_normalized(
    conv: Conv2D,
    bn: BatchNormalization,
    inputs: tf.Tensor,
    *,
    relu: bool = False,
    training: bool | None = None,
    statistics: BatchStatistics | None = None,
) -> tf.Tensor:
    """Convolves, then normalises, then applies ReLU if `relu` is set.

    In inference the normalisation becomes a factor on the kernel and a bias, if the kernel is small. This saves a pass
    over the activations.

    Args:
        conv: Convolution, without bias.
        bn: Batch normalisation of the convolution's output.
        inputs: Tensor [B, h, w, C].
        relu: Whether ReLU follows.
        training: As in `BatchNormalization.call`.
        statistics: As in `BatchNormalization.call`.
    """
    if not training and math.prod(conv.kernel.shape[:-1]) <= _SMALL_KERNEL:
        scale, shift = bn.affine()
        kernel = tf.cast(conv.kernel, scale.dtype) * scale
        return conv.convolve(inputs, tf.cast(kernel, inputs.dtype), tf.cast(shift, inputs.dtype), relu=relu)
    return convolution.finished(bn(conv(inputs), training=training, statistics=statistics), None, relu=relu)


@keras.saving.register_keras_serializable(package="seer_tf")
class SqueezeExcitation(keras.layers.Layer):
    """Gates each channel with a small network on the pooled channels (Hu et al. 2018).

    The two 1 x 1 convolutions of ClassyVision's `SqueezeAndExcitationLayer` are matrix products here. Biases are
    initialised as in PyTorch, U(±1 / sqrt(fan in)), and kernels as in the rest of the backbone.
    """

    def __init__(self, squeeze_width: int, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            squeeze_width: Number of channels in the middle.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.squeeze_width = squeeze_width

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes reduce_kernel [1, 1, C, s], reduce_bias [s], expand_kernel [1, 1, s, C] and expand_bias [C]."""
        channels = input_shape[-1]
        self.reduce_kernel, self.reduce_bias = self._add_pair("reduce", channels, self.squeeze_width)
        self.expand_kernel, self.expand_bias = self._add_pair("expand", self.squeeze_width, channels)

    def _add_pair(self, name: str, width_in: int, width_out: int) -> tuple[keras.Variable, keras.Variable]:
        kernel = self.add_weight(
            name=f"{name}_kernel",
            shape=(1, 1, width_in, width_out),
            initializer=keras.initializers.RandomNormal(stddev=(2.0 / width_out) ** 0.5),
        )
        limit = width_in**-0.5
        bias = self.add_weight(
            name=f"{name}_bias", shape=(width_out,), initializer=keras.initializers.RandomUniform(-limit, limit)
        )
        return kernel, bias

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Scales the channels of [B, h, w, C]."""
        pooled = tf.reduce_mean(inputs, axis=[1, 2])  # [B, C]
        reduce_kernel = tf.reshape(self.reduce_kernel, self.reduce_kernel.shape[2:])
        expand_kernel = tf.reshape(self.expand_kernel, self.expand_kernel.shape[2:])
        squeezed = tf.nn.relu(tf.matmul(pooled, reduce_kernel) + self.reduce_bias)  # [B, s]
        gates = tf.sigmoid(tf.matmul(squeezed, expand_kernel) + self.expand_bias)  # [B, C]
        return inputs * tf.reshape(gates, [-1, 1, 1, inputs.shape[-1]])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "squeeze_width": self.squeeze_width}
