"""The loss of MoCo: find the key of the same image among the keys of earlier steps (MoCo, section 3.1, equation 1).

Legend: B images on this replica, D embedding dimensions, Q keys of earlier steps.
"""

from typing import NamedTuple

import tensorflow as tf


class InfoNce(NamedTuple):
    """The result of a contrast.

    Attributes:
        loss: Mean cross-entropy over this replica's images, a scalar.
        accuracy: Fraction of these images whose own key is the nearest of all, a float32 scalar.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor


def info_nce(queries: tf.Tensor, keys: tf.Tensor, earlier: tf.Tensor, *, temperature: float) -> InfoNce:
    """Contrasts each query with its own key and the keys of earlier steps.

    ```
    for image i:
        others = keys of earlier steps
        loss[i] = -log(exp(q[i] . k[i] / temperature) / sum of exp(q[i] . k / temperature) over k[i] and others)
    loss = mean of loss[i]
    ```

    Args:
        queries: Embeddings of one view [B, D], of unit norm.
        keys: Embeddings of the other view by the key encoder [B, D], of unit norm. No gradient flows through them.
        earlier: Keys of earlier steps [Q, D].
        temperature: Temperature of the softmax, above zero.
    """
    own = tf.reduce_sum(queries * tf.stop_gradient(keys), axis=-1, keepdims=True)  # [B, 1]
    others = tf.matmul(queries, tf.cast(earlier, queries.dtype), transpose_b=True)  # [B, Q]
    logits = tf.concat([own, others], axis=1) / temperature  # [B, 1 + Q], the own key first
    first = tf.zeros(queries.shape[:1], tf.int32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(first, logits)  # [B]
    found = tf.argmax(logits, axis=1, output_type=tf.int32) == first
    return InfoNce(tf.reduce_mean(losses), tf.reduce_mean(tf.cast(found, tf.float32)))
