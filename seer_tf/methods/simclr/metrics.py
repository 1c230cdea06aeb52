"""Numbers that show whether a run of SimCLR learns."""

import tensorflow as tf

from seer_tf.methods.simclr.nt_xent import NtXent
from seer_tf.training import view_metrics


def of_step(contrast: NtXent, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step, float32 scalars by their names in the log, equal on every replica.

    Args:
        contrast: Result of the loss on this replica.
        crops: Views of this replica's images, uint8 [B, 2, s, s, 3].
    """
    return view_metrics.of_contrast(contrast.views[0], contrast.views[1], contrast.accuracy, crops)
