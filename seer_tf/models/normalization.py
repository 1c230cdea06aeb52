"""The operations of batch normalisation, and its gradient if several replicas share the statistics.

TensorFlow's fused operations read and write activations in the precision of the network and compute in float32. They do
not exist in float64, and they serve a single replica. So shared statistics are summed outside of them: once in the
forward pass, and once in the backward pass. The backward pass needs the input of the normalisation, and no other
activation.

Shapes: x [..., C]; all other tensors [C], float32 at least.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from seer_tf.models import convolution
from seer_tf.precision import at_least_float32

# On CPUs, oneDNN is fast in bfloat16 only for widths that are multiples of this number. For other widths its bfloat16
# batch norm is slower than a cast to float32, batch norm in float32 and a cast back.
_FAST_BFLOAT16_WIDTH = 16


class Moving(NamedTuple):
    """Moving statistics, and the fraction of their old values that they keep."""

    mean: tf.Tensor
    variance: tf.Tensor
    momentum: float


def normalized(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, *, epsilon: float
) -> tf.Tensor:
    """Returns gamma (x - mean) / sqrt(variance + epsilon) + beta, in the dtype of x."""
    if x.dtype == tf.float64:
        return (x - mean) * (tf.math.rsqrt(variance + epsilon) * gamma) + beta
    return _fused(x, gamma, beta, mean, variance, epsilon=epsilon, is_training=False)[0]


def normalized_by_own(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, *, epsilon: float, moving: Moving | None = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns x normalised by its own statistics, with its mean and its unbiased variance; not for float64.

    With moving statistics it returns these, moved, in place of those of x: the fused operation moves them itself.
    """
    if moving is None:
        unused = tf.zeros([0])
        return _fused(x, gamma, beta, unused, unused, epsilon=epsilon, is_training=True)
    mean, variance, momentum = moving
    return _fused(x, gamma, beta, mean, variance, epsilon=epsilon, is_training=True, momentum=momentum)


def moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the mean, the sum of squared distances from it, and the number of rows, a scalar, of one replica."""
    channels = x.shape[-1]
    num_rows = tf.cast(tf.size(x) // channels, at_least_float32(x.dtype))
    if x.dtype == tf.float64:
        mean = tf.reduce_mean(x, _rows(x))
        return mean, tf.reduce_sum(tf.square(x - mean), _rows(x)), num_rows
    _, mean, unbiased = normalized_by_own(x, tf.ones([channels]), tf.zeros([channels]), epsilon=1e-5)
    return mean, tf.math.multiply_no_nan(unbiased, num_rows - 1.0), num_rows  # a single row has none


def normalized_by_shared(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    num_rows: tf.Tensor,
    *,
    epsilon: float,
    total: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Returns `normalized`, with the gradient that also passes through the statistics.

    Let g be the upstream gradient and h = (x - mean) / sqrt(variance + epsilon). With means over all rows that share
    the statistics, the gradient by x is gamma / sqrt(variance + epsilon) (g - mean(g) - h mean(g h)).

    Args:
        x: Input of one replica.
        gamma: Scale.
        beta: Shift.
        mean: Mean over all rows that share the statistics.
        variance: Their variance.
        num_rows: Their number, [1].
        epsilon: Number added to the variance.
        total: Function that sums a tensor [2, C] over the replicas that share the statistics.
    """

    @tf.custom_gradient
    def function(
        x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], Sequence[tf.Tensor]]]:
        def gradient(upstream: tf.Tensor) -> Sequence[tf.Tensor]:
            scaled, by_gamma, by_beta = _scaled_and_summed(upstream, x, gamma, mean, variance, epsilon=epsilon)
            slope = gamma * tf.math.rsqrt(variance + epsilon) / num_rows
            of_products, of_upstream = tf.unstack(slope * total(tf.stack([by_gamma, by_beta])))
            correction = normalized(x, of_products, of_upstream, mean, variance, epsilon=epsilon)
            return scaled - correction, by_gamma, by_beta

        return normalized(x, gamma, beta, mean, variance, epsilon=epsilon), gradient

    return function(x, gamma, beta)


def _scaled_and_summed(
    upstream: tf.Tensor, x: tf.Tensor, gamma: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, *, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the gradients of `normalized` by x, gamma and beta, with the statistics as constants."""
    if x.dtype == tf.float64:
        inverse = tf.math.rsqrt(variance + epsilon)
        by_gamma = tf.reduce_sum(upstream * ((x - mean) * inverse), _rows(x))
        return upstream * (gamma * inverse), by_gamma, tf.reduce_sum(upstream, _rows(x))
    by_x, by_gamma, by_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=_images(upstream),
        x=_images(x),
        scale=gamma,
        reserve_space_1=mean,
        reserve_space_2=variance,
        reserve_space_3=tf.zeros([0]),
        epsilon=epsilon,
        is_training=False,
    )
    return _like(by_x, x), by_gamma, by_beta


def _fused(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    *,
    epsilon: float,
    is_training: bool,
    momentum: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=_images(x),
        scale=gamma,
        offset=beta,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        is_training=is_training,
        exponential_avg_factor=1.0 - momentum,
    )
    return _like(outputs, x), mean, variance


def _images(x: tf.Tensor) -> tf.Tensor:
    """Returns x as images, in a dtype that is fast on this device."""
    images = x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, x.shape[-1]])
    slow = x.dtype == tf.bfloat16 and x.shape[-1] % _FAST_BFLOAT16_WIDTH and convolution.is_on_cpu(x)
    return tf.cast(images, tf.float32) if slow else images


def _like(images: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns images from `_images` in the shape and dtype of x."""
    return tf.cast(images if x.shape.rank == 4 else tf.reshape(images, tf.shape(x)), x.dtype)


def _rows(x: tf.Tensor) -> list[int]:
    return list(range(x.shape.rank - 1))
