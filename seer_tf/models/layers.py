"""The layers of a RegNetY: convolution, batch normalisation, squeeze-and-excitation.

Shapes: B images, h x w pixels, C channels. Weights keep the layout of a convolution, [k, k, C in / groups, C out].
"""

import functools
import math
from typing import Any

import keras
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.models import convolution
from seer_tf.models.remat import BatchStatistics
from seer_tf.precision import at_least_float32

# On CPUs, oneDNN is fast in bfloat16 only for widths that are multiples of this number. For other widths its bfloat16
# batch norm is slower than a cast to float32, batch norm in float32 and a cast back.
_FAST_BFLOAT16_WIDTH = 16
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

    As in PyTorch, the moving variance is the unbiased one. TensorFlow's fused op follows the same rule and is used
    where possible. It does not support float64 and cannot be synchronised.
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
        training = bool(training) and self.trainable
        fused = self.statistics_dtype == "float32" and not (training and self.synchronized)
        if fused:
            outputs, mean, variance = self._fused(inputs, training)
        else:
            outputs, mean, variance = self._composed(inputs, training, statistics)
        if training and not (statistics and statistics.repeated):
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        return outputs

    def affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the scale and the shift, [C] each, that inference applies."""
        scale = self._scale(self.moving_variance)
        return scale, self.beta - self.moving_mean * scale

    def _scale(self, variance: tf.Tensor | keras.Variable) -> tf.Tensor:
        return tf.math.rsqrt(variance + self.epsilon) * self.gamma

    def _move(self, moving: keras.Variable, batch: tf.Tensor) -> None:
        moving.value.assign_sub((moving - batch) * (1.0 - self.momentum))

    def _fused(self, inputs: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns outputs, mean [C] and unbiased variance [C]."""
        images = inputs if inputs.shape.rank == 4 else tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
        if inputs.dtype == tf.bfloat16 and inputs.shape[-1] % _FAST_BFLOAT16_WIDTH and convolution.is_on_cpu(inputs):
            images = tf.cast(images, tf.float32)
        unused = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=self.gamma,
            offset=self.beta,
            mean=unused if training else self.moving_mean,
            variance=unused if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        outputs = outputs if inputs.shape.rank == 4 else tf.reshape(outputs, tf.shape(inputs))
        return tf.cast(outputs, inputs.dtype), mean, variance

    def _composed(
        self, inputs: tf.Tensor, training: bool, statistics: BatchStatistics | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns outputs, and mean [C] and unbiased variance [C] averaged over the groups of replicas."""
        x = tf.cast(inputs, self.statistics_dtype)
        if training:
            means, variances, unbiased = self._moments(*self._sums(x, statistics))
            own = collectives.group_id(group_replicas=self.group_replicas) if self.synchronized else 0
            mean, variance = means[own], variances[own]
            moved_by = tf.reduce_mean(means, axis=0), tf.reduce_mean(unbiased, axis=0)
        else:
            mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
            moved_by = mean, variance
        return tf.cast((x - mean) * self._scale(variance) + self.beta, inputs.dtype), *moved_by

    def _sums(self, x: tf.Tensor, statistics: BatchStatistics | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the shift [C] and, for each group of replicas, the sums [groups, 2C + 1] of x, x^2 and 1.

        x is shifted by the moving mean, so that E[x^2] - E[x]^2 does not cancel. One reduction serves all sums.
        """
        known = statistics.of.get(self.path) if statistics else None
        shift = known[0] if known else tf.stop_gradient(tf.convert_to_tensor(self.moving_mean))
        axes = list(range(x.shape.rank - 1))
        shifted = x - shift
        num_rows = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
        parts = [tf.reduce_sum(shifted, axes), tf.reduce_sum(tf.square(shifted), axes), num_rows[None]]
        sums = tf.concat(parts, axis=0)  # [2C + 1]
        if not self.synchronized:
            sums = sums[None]
        elif known:
            sums = collectives.all_reduce_in_groups_again(sums, known[1], group_replicas=self.group_replicas)
        else:
            sums = collectives.all_reduce_in_groups(sums, group_replicas=self.group_replicas)
        if statistics:
            statistics.of[self.path] = shift, sums
        return shift, sums

    def _moments(self, shift: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns mean, variance and unbiased variance, each [groups, C]."""
        channels = shift.shape[0]
        n = sums[:, -1:]
        shifted_means = sums[:, :channels] / n
        variances = tf.maximum(sums[:, channels:-1] / n - tf.square(shifted_means), 0.0)
        return shift + shifted_means, variances, variances * (n / tf.maximum(n - 1.0, 1.0))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        own = {name: getattr(self, name) for name in ("momentum", "epsilon", "synchronized", "group_replicas")}
        return {**super().get_config(), **own}


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
    initialised as in PyTorch, U(±1 / sqrt(fan in)), and kernels as in the rest of the trunk.
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
