"""The loss of SimCLR: find the other view of an image among all views of the step (SimCLR, section 2.1, equation 1).

Legend: B images on this replica, N images on all replicas, D embedding dimensions.

As in the released code (objective.py), the views of all replicas are candidates, and gradients flow through them to the
replicas that computed them. That code adds the means over first and second views. The mean over all views, here and in
the paper (algorithm 1), is half of that.
"""

from typing import NamedTuple

import tensorflow as tf

from seer_tf.distributed import collectives


class NtXent(NamedTuple):
    """The result of a contrast.

    Attributes:
        loss: Mean cross-entropy over the views of this replica's images, a scalar.
        accuracy: Fraction of these views to which the other view of the image is the nearest of all, a float32 scalar.
        views: Embeddings of all images, [2, N, D], the same on every replica.
    """

    loss: tf.Tensor
    accuracy: tf.Tensor
    views: tf.Tensor


def nt_xent(views: tf.Tensor, *, temperature: float) -> NtXent:
    """Contrasts the views of this replica's images with all views of the step.

    ```
    for view v of image i:
        others = all views of all images but view v of image i
        loss[v, i] = -log(exp(z[v, i] . z[1 - v, i] / temperature) / sum of exp(z[v, i] . z / temperature) over others)
    loss = mean of loss[v, i]
    ```

    Args:
        views: Embeddings of both views [2, B, D], of unit norm, float32 at least.
        temperature: Temperature of the softmax, above zero.
    """
    everyone = collectives.all_gather(views, axis=1)  # [2, N, D], in the order of the global batch
    num_images, num_everyone, dim = views.shape[1], everyone.shape[1], views.shape[2]
    rows, candidates = tf.reshape(views, [-1, dim]), tf.reshape(everyone, [-1, dim])  # [2B, D], [2N, D]
    logits = tf.matmul(rows, candidates, transpose_b=True) / temperature  # [2B, 2N]

    image = collectives.replica_id() * num_images + tf.range(num_images)  # [B], in the global batch
    itself = tf.concat([image, image + num_everyone], axis=0)  # [2B], a column of the logits
    other_view = tf.concat([image + num_everyone, image], axis=0)  # [2B]
    is_itself = tf.range(2 * num_everyone) == itself[:, tf.newaxis]  # [2B, 2N]
    logits = tf.where(is_itself, logits.dtype.min, logits)

    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(other_view, logits)  # [2B]
    found = tf.argmax(logits, axis=1, output_type=tf.int32) == other_view
    return NtXent(tf.reduce_mean(losses), tf.reduce_mean(tf.cast(found, tf.float32)), everyone)
