"""The loss of BYOL: the distance between a prediction and the target network's embedding of the other view.

The paper's section 3.1, equation 2, in both directions (algorithm 1).

Legend: B images on this replica, D embedding dimensions.
"""

import math

import tensorflow as tf

from seer_tf.models.embeddings import unit_norm


def regression(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the mean over images of the squared distances between predictions and targets, all of unit norm.

    ```
    for image i:
        loss[i] = |prediction[0, i] - target[1, i]|^2 + |prediction[1, i] - target[0, i]|^2
    loss = mean of loss[i]
    ```

    Args:
        predictions: Predictions from both views [2, B, D], of any norm.
        targets: The target network's embeddings of both views [2, B, D], of any norm. No gradient flows through them.
    """
    others = tf.stop_gradient(unit_norm(tf.reverse(targets, axis=[0])))
    distances = tf.reduce_sum(tf.square(unit_norm(predictions) - others), axis=-1)  # [2, B]
    return tf.reduce_mean(tf.reduce_sum(distances, axis=0))


def target_momentum(step: tf.Tensor, *, start: float, num_steps: int) -> tf.Tensor:
    """Returns the share of the target network's weights that a step keeps, a float64 scalar.

    `1 - (1 - start) * (cos(pi * step / num_steps) + 1) / 2`, from `start` to 1 (section 3.3).

    Args:
        step: Number of updates before this step, an integer scalar.
        start: Share in the first step.
        num_steps: Length of the run.
    """
    progress = tf.cast(step, tf.float64) / num_steps
    return 1 - (1 - start) * (tf.cos(math.pi * progress) + 1) / 2
