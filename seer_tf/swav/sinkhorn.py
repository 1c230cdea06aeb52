"""Sinkhorn-Knopp: prototype scores to codes that use all prototypes alike (SwAV, section 3.1 and appendix A).

Legend: B images on this replica, K prototypes, R replicas; `...` are P independent problems, e.g. the assigning crops.

The released code (vissl/losses/distibuted_sinkhornknopp.py) divides Q = exp(scores / epsilon) in turn by its sums over
images and over prototypes, in place. Here Q = M u v: M stays as it is, u is a factor for each prototype and v one for
each image, so that an iteration reads M twice and writes nothing of its size. Each row of M is divided by its largest
number, which begins in v, so that no row vanishes. What multiplies all of Q, such as 1 / K, 1 / B and the first
division by its total, cancels in the next division and is left out. Where a prototype's sum is zero the released code
adds 1e-12 to all of Q; here the factor of that prototype has a limit, and the other prototypes keep their codes.
"""

import functools
import math

import tensorflow as tf

from seer_tf import distribution
from seer_tf.errors import InputError

# Of the largest finite number: a factor of a prototype, times any number of prototypes, stays finite, and so does one
# divided by that.
_LIMIT_EXPONENT = 0.8


def sinkhorn(scores: tf.Tensor, *, epsilon: float, num_iterations: int, counted: tf.Tensor | None = None) -> tf.Tensor:
    """Returns the codes of a batch that lies over all replicas.

    ```
    Q = exp(scores / epsilon)
    repeat num_iterations times:
        Q /= sum of Q over the images of all replicas    # every prototype is used alike ...
        Q /= sum of Q over the prototypes                # ... and every code sums to one
    ```

    The codes are the same for one replica with all images as for any number of replicas with their share. It costs one
    SUM of [..., K] per iteration, and one of [..., R] for the largest score. No gradient flows.

    Args:
        scores: [..., B, K], any floating dtype; cosines when features and prototypes are of unit norm.
        epsilon: weight of the entropy, above zero; the smaller, the sharper the codes.
        num_iterations: at least one.
        counted: bool [B], the images that take part, at least one on every replica; None for all.

    Returns:
        Codes [..., B, K], at least float32, whose rows sum to one; finite for scores of ±1e4 and far beyond. Those of
        images that do not take part are zero.

    Raises:
        InputError: `epsilon` or `num_iterations` is too small.
    """
    if epsilon <= 0 or num_iterations < 1:
        raise InputError(
            f"Sinkhorn needs an epsilon above zero and at least one iteration, but got {epsilon} and {num_iterations}"
        )
    if scores.dtype.size < tf.float32.size:
        scores = tf.cast(scores, tf.float32)
    shape = tf.shape(scores)
    scores = tf.reshape(tf.stop_gradient(scores), [math.prod(scores.shape[:-2]), shape[-2], shape[-1]])  # [P, B, K]
    problems = tf.unstack(scores)  # [B, K] each; on CPUs a product of P matrices in one operation takes twice as long
    row_largest = [tf.reduce_max(problem, axis=-1, keepdims=True) for problem in problems]  # [B, 1]
    m = [tf.exp((problem - rows) * (1.0 / epsilon)) for problem, rows in zip(problems, row_largest, strict=True)]
    # Of an image that does not take part the factor stays zero.
    largest = _largest([_counted(rows, counted, otherwise=scores.dtype.min) for rows in row_largest])
    begun = [tf.exp((rows - most) * (1.0 / epsilon)) for rows, most in zip(row_largest, largest, strict=True)]
    v = [_counted(factors, counted) for factors in begun]  # [B, 1]
    limit = tf.constant(scores.dtype.max**_LIMIT_EXPONENT, scores.dtype)
    for _ in range(num_iterations):
        own_sums = [_weighted_sums(*pair, axis=0) for pair in zip(m, v, strict=True)]
        u = [tf.minimum(1.0 / sums, limit) for sums in distribution.all_reduce_together(own_sums)]  # [1, K]
        v = [_counted(1.0 / _weighted_sums(*pair, axis=1), counted) for pair in zip(m, u, strict=True)]
    return tf.reshape(tf.stack([functools.reduce(tf.multiply, parts) for parts in zip(m, u, v, strict=True)]), shape)


def _weighted_sums(m: tf.Tensor, weights: tf.Tensor, *, axis: int) -> tf.Tensor:
    """Returns the sums of m [B, K] times weights over images, [1, K], or over prototypes, [B, 1]."""
    if tf.config.list_logical_devices("GPU"):
        return tf.reduce_sum(m * weights, axis=axis, keepdims=True)  # TF32 would round a matrix product to 10 bits
    return tf.matmul(weights, m, transpose_a=True) if axis == 0 else tf.matmul(m, weights, transpose_b=True)


def _counted(x: tf.Tensor, counted: tf.Tensor | None, *, otherwise: float = 0.0) -> tf.Tensor:
    """Returns [B, 1] with another value in the rows that do not take part."""
    return x if counted is None else tf.where(counted[:, tf.newaxis], x, tf.constant(otherwise, x.dtype))


def _largest(row_largest: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the largest of each problem over all replicas, scalars, by SUM: there is no MAX of replicas."""
    local = tf.stack([tf.reduce_max(rows, keepdims=True)[0] for rows in row_largest])  # [P, 1]
    own_place = tf.range(distribution.num_replicas()) == distribution.replica_id()  # [R]
    gathered = distribution.all_reduce(tf.where(own_place, local, tf.zeros_like(local)))  # [P, R]
    return tf.unstack(tf.reduce_max(gathered, axis=-1))
