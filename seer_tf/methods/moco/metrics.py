"""Numbers that show whether a run of MoCo learns."""

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.methods.moco.info_nce import InfoNce
from seer_tf.training import view_metrics


def of_step(contrast: InfoNce, queries: tf.Tensor, all_keys: tf.Tensor, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step, float32 scalars by their names in the log, equal on every replica.

    Args:
        contrast: Result of the loss on this replica.
        queries: Queries of this replica's images [B, D].
        all_keys: Keys of all replicas' images [N, D].
        crops: Views of this replica's images, uint8 [B, 2, s, s, 3].
    """
    return view_metrics.of_contrast(collectives.all_gather(queries, axis=0), all_keys, contrast.accuracy, crops)
