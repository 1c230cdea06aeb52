"""Numbers that show whether a run of BYOL learns."""

import tensorflow as tf

from seer_tf.training import view_metrics

MOMENTUM = "training/target_momentum"


def of_step(targets: tf.Tensor, momentum: tf.Tensor, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step, float32 scalars by their names in the log, equal on every replica.

    Args:
        targets: The target network's embeddings of this replica's views, [2, B, D].
        momentum: Share of the target network's weights that the step kept, a scalar.
        crops: Views of this replica's images, uint8 [B, 2, s, s, 3].
    """
    return {**view_metrics.of_embeddings(targets, crops), MOMENTUM: tf.cast(momentum, tf.float32)}
