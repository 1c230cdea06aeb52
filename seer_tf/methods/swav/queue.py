"""The queue for small batches: embeddings of earlier batches that help to find the codes (SwAV, section 4.3).

A batch with fewer images than prototypes cannot use all prototypes equally. With the queue, codes are computed for the
batch and the last Q embeddings together, and only the codes of the batch are kept.

This module differs from the released code (main_swav.py) in three ways. The released code gives every replica its own
queue; here all replicas share one queue, so that the number of replicas does not matter. The released code begins to
fill the queue at its start step; here the queue fills from the first step, and so is full at its start step. The
released code puts the queue's scores before the batch's scores, which makes no difference.

Legend: A assigning crops, B images on this replica, R replicas, Q length of the queue, D embedding dimensions,
K prototypes.
"""

import tensorflow as tf

from seer_tf.distributed import collectives


class Queue:
    """The last Q embeddings of each assigning crop over all replicas. The newest batch comes first.

    Attributes:
        embeddings: Variable [A, Q, D], the same on every replica. Within a batch, embeddings follow the image order.
        num_pushed: Int64 scalar variable, the number of images that were ever pushed.
    """

    def __init__(
        self, length: int, *, num_assigning_crops: int, embedding_dim: int, start_step: int, dtype: tf.DType
    ) -> None:
        """Makes an empty queue. Call this inside the scope of the strategy.

        Args:
            length: Q, a multiple of the global batch.
            num_assigning_crops: A.
            embedding_dim: D.
            start_step: First step that may use the queue.
            dtype: Dtype of the embeddings.
        """
        self.start_step = start_step
        self.embeddings = collectives.shared_variable(
            tf.zeros([num_assigning_crops, length, embedding_dim], dtype), dtype, "queue"
        )
        self.num_pushed = collectives.shared_variable(0, tf.int64, "num_pushed")

    def in_use(self, step: tf.Tensor) -> tf.Tensor:
        """Returns whether a step uses the queue: a bool scalar, true from the start step on if the queue is full."""
        return (self.num_pushed >= self.embeddings.shape[1]) & (step >= self.start_step)

    def scores(self, prototypes: tf.Tensor) -> tf.Tensor:
        """Returns the scores of this replica's share of the queue, [A, Q / R, K].

        Args:
            prototypes: Current prototypes [K, D].
        """
        shares = tf.split(self.embeddings, collectives.num_replicas(), axis=1)  # R x [A, Q / R, D]
        own = tf.gather(tf.stack(shares), collectives.replica_id())  # [A, Q / R, D]
        return tf.matmul(own, prototypes, transpose_b=True)

    def pushed(self, embeddings: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their new values after a batch has replaced the oldest embeddings.

        Args:
            embeddings: Embeddings of this replica's images, [A, B, D].
        """
        batch = collectives.all_gather(embeddings, axis=1)  # [A, R * B, D], in the order of the global batch
        num_images = batch.shape[1]
        return [
            (self.embeddings, tf.concat([batch, self.embeddings[:, :-num_images]], axis=1)),
            (self.num_pushed, self.num_pushed + num_images),
        ]
