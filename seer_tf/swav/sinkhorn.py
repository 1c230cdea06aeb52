"""Sinkhorn-Knopp: prototype scores to codes that use all prototypes alike (SwAV, section 3.1 and appendix A).

Legend: B images on this replica, K prototypes, R replicas; `...` are independent problems, such as the assigning crops.

The released code (vissl/losses/distibuted_sinkhornknopp.py) divides Q = exp(scores / epsilon) in turn by its sums over
images and over prototypes, in place. Here the same Q is kept as scores and the logarithm of what each prototype was
divided by, and the division by sums over prototypes is a softmax. What multiplies all of Q, such as 1 / K, 1 / B and
the first division by its total, cancels in the next division and is left out. Where a prototype's sum is zero the
released code adds 1e-12 to all of Q; here that sum alone is raised to the smallest normal number, so that the other
prototypes keep their codes.
"""

import numpy as np
import tensorflow as tf

from seer_tf import distribution
from seer_tf.errors import InputError


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
    scores = tf.stop_gradient(scores)
    if scores.dtype.size < tf.float32.size:
        scores = tf.cast(scores, tf.float32)
    log_q = (scores - _largest(_counted(scores, counted, otherwise=scores.dtype.min))) / epsilon  # [..., B, K]
    log_sums = tf.zeros_like(log_q[..., :1, :])  # [..., 1, K]
    q = _counted(tf.exp(log_q), counted)  # [..., B, K]
    smallest = np.finfo(q.dtype.as_numpy_dtype).tiny
    for _ in range(num_iterations):
        prototype_sums = distribution.all_reduce(tf.reduce_sum(q, axis=-2, keepdims=True))  # [..., 1, K]
        log_sums += tf.math.log(tf.maximum(prototype_sums, smallest))
        q = _counted(tf.nn.softmax(log_q - log_sums, axis=-1), counted)  # [..., B, K]
    return q


def _counted(x: tf.Tensor, counted: tf.Tensor | None, *, otherwise: float = 0.0) -> tf.Tensor:
    """Returns [..., B, K] with another value in the rows that do not take part."""
    return x if counted is None else tf.where(counted[:, tf.newaxis], x, tf.constant(otherwise, x.dtype))


def _largest(scores: tf.Tensor) -> tf.Tensor:
    """Returns the largest score of each problem over all replicas, [..., 1, 1], by SUM: there is no MAX of replicas."""
    local = tf.reduce_max(scores, axis=(-2, -1), keepdims=True)  # [..., 1, 1]
    own_place = tf.range(distribution.num_replicas()) == distribution.replica_id()  # [R]
    gathered = distribution.all_reduce(tf.where(own_place, local, tf.zeros_like(local)))  # [..., 1, R]
    return tf.reduce_max(gathered, axis=-1, keepdims=True)
