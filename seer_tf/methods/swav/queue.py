"""The queue of small batches: embeddings of earlier batches that help to find the codes (SwAV, section 4.3).

A batch with fewer images than prototypes cannot use all prototypes alike. With the queue, codes are computed for the
batch and the last Q embeddings together, and only those of the batch are kept.

In three things we differ from the released code (main_swav.py). It gives every replica a queue of its own; this is one
queue of all replicas, so that their number does not matter. It begins to fill the queue at its start step; this one
fills from the first step, and so is full at its start step. And it puts the queue's scores before the batch's, which
makes no difference.

Legend: A assigning crops, B images of this replica, R replicas, Q length of the queue, D embedding dimensions,
K prototypes.
"""

import tensorflow as tf

from seer_tf.distributed import collectives


class Queue:
    """The last Q embeddings of each assigning crop over all replicas, the newest first.

    Attributes:
        embeddings: Variable [A, Q, D], the same on every replica; within a batch in the order of its images.
        num_pushed: Int64 scalar variable, how many images it was given in all.
    """

    def __init__(
        self, length: int, *, num_assigning_crops: int, embedding_dim: int, start_step: int, dtype: tf.DType
    ) -> None:
        """Makes an empty queue; call it inside the scope of the strategy.

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
        """Whether the queue takes part in a step: a bool scalar, true when it is full and its step has come."""
        return (self.num_pushed >= self.embeddings.shape[1]) & (step >= self.start_step)

    def scores(self, prototypes: tf.Tensor) -> tf.Tensor:
        """Returns the scores of this replica's share of the queue, [A, Q / R, K].

        Args:
            prototypes: [K, D], those of now.
        """
        shares = tf.split(self.embeddings, collectives.num_replicas(), axis=1)  # R x [A, Q / R, D]
        own = tf.gather(tf.stack(shares), collectives.replica_id())  # [A, Q / R, D]
        return tf.matmul(own, prototypes, transpose_b=True)

    def pushed(self, embeddings: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their values after a batch came in and as many of the oldest went.

        Args:
            embeddings: [A, B, D], of this replica's images.
        """
        batch = collectives.all_gather(embeddings, axis=1)  # [A, R * B, D], in the order of the global batch
        num_images = batch.shape[1]
        return [
            (self.embeddings, tf.concat([batch, self.embeddings[:, :-num_images]], axis=1)),
            (self.num_pushed, self.num_pushed + num_images),
        ]
