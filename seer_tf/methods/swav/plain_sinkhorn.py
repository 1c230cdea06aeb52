"""Sinkhorn-Knopp (SwAV, section 3.1 and appendix A) written plainly: divide by sums over images and over prototypes.

Read this file first. `sinkhorn.py` makes the same codes in less time and memory, and for any scores; a test compares
the two. This one computes in float64, which holds exp(1 / epsilon) of cosines for an epsilon of 0.002 or more.

B images on this replica, K prototypes; `...` are independent problems, e.g. the assigning crops.
"""

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.precision import at_least_float32


def plain_sinkhorn(
    scores: tf.Tensor, *, epsilon: float, num_iterations: int, counted: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns the codes of a batch that lies over all replicas.

    Args:
        scores: Cosines [..., B, K] of any floating dtype.
        epsilon: Weight of the entropy, above zero; the smaller, the sharper the codes.
        num_iterations: Number of iterations, at least one.
        counted: Bool [B], the images that take part; None for all.

    Returns:
        Codes [..., B, K], float32 at least. Rows sum to one; those of images that do not take part are zero.
    """
    q = tf.exp(tf.cast(scores, tf.float64) / epsilon)  # [..., B, K]
    if counted is not None:
        q *= tf.cast(counted, q.dtype)[:, tf.newaxis]
    for _ in range(num_iterations):
        q /= collectives.all_reduce(tf.reduce_sum(q, axis=-2, keepdims=True))  # every prototype is used alike ...
        q = tf.math.divide_no_nan(q, tf.reduce_sum(q, axis=-1, keepdims=True))  # ... and every code sums to one
    return tf.cast(tf.stop_gradient(q), at_least_float32(scores.dtype))
