"""Numbers that show a collapse. The loss alone does not show one, because it starts at ln K and may stay there.

Legend: V crops, B images, K prototypes. All numbers are cheap enough for every step. They are those of this replica.
"""

import tensorflow as tf


def first_choices(scores: tf.Tensor) -> tf.Tensor:
    """Returns the number of rows on this replica whose first choice is each prototype, float32 [K].

    Args:
        scores: Scores or codes, [..., K].
    """
    num_prototypes = scores.shape[-1]
    chosen = tf.one_hot(tf.argmax(scores, axis=-1), num_prototypes)  # [..., K]
    return tf.reduce_sum(tf.reshape(chosen, [-1, num_prototypes]), axis=0)


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the mean entropy of rows that sum to one, such as codes.

    Args:
        probabilities: Rows [..., K].

    Returns:
        A scalar in nats with the dtype of the probabilities, from 0 (each row names one prototype) to ln K.
    """
    return -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1))


def prediction_entropy(scores: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Returns the mean entropy of softmax(scores / temperature) in nats, a scalar, for scores [..., K]."""
    return entropy(tf.nn.softmax(scores / temperature))


def view_agreement(scores: tf.Tensor) -> tf.Tensor:
    """Returns the fraction of crop pairs from one image that have the same nearest prototype.

    Args:
        scores: Scores [V, B, K] of two or more crops.

    Returns:
        A float32 scalar: about 1 / K for a network that sees nothing, and 1 for a network that has collapsed or
        learned.
    """
    nearest = tf.argmax(scores, axis=-1)  # [V, B]
    num_crops = nearest.shape[0]
    same = tf.reduce_mean(tf.cast(nearest[:, tf.newaxis] == nearest, tf.float32), axis=-1)  # [V, V]
    return (tf.reduce_sum(same) - num_crops) / (num_crops * (num_crops - 1))  # the diagonal of ones does not count
