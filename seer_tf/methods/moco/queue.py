"""The queue of MoCo: the keys of the last steps, over all replicas (MoCo, section 3.2).

Legend: Q length of the queue, N images on all replicas, D embedding dimensions.

Three things differ from the released code (moco/builder.py) without an effect on the loss: the newest keys come first,
where the code there overwrites the oldest in place; every replica holds the same variable; and the first keys are drawn
from the seed of the run.
"""

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.models.embeddings import unit_norm


class KeyQueue:
    """The last Q keys over all replicas. The newest step comes first.

    Attributes:
        keys: Variable [Q, D], the same on every replica, rows of unit norm. It begins with random directions.
    """

    def __init__(self, length: int, dim: int, *, seed: int, dtype: tf.DType) -> None:
        """Makes the queue. Call this inside the scope of the strategy.

        Args:
            length: Q, a multiple of the global batch.
            dim: D.
            seed: Seed of the first keys.
            dtype: Dtype of the keys.
        """
        drawn = tf.random.stateless_normal([length, dim], tf.constant([seed, 0], tf.int64), dtype=dtype)
        self.keys = collectives.shared_variable(unit_norm(drawn), dtype, "keys")

    def pushed(self, keys: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variable with its new value after the keys of a step have replaced the oldest ones.

        Args:
            keys: Keys of all replicas' images [N, D].
        """
        return [(self.keys, tf.concat([keys, self.keys[: -keys.shape[0]]], axis=0))]
