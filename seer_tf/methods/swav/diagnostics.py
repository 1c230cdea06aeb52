"""Is it collapsing? Numbers to watch beside the loss, which alone does not tell (it starts, and may stay, at ln K).

Legend: V crops, B images, K prototypes, N rows, D dimensions. All are cheap enough to compute now and then in the step.
Only `prototype_usage` looks at the images of all replicas; the others are means of this replica.
"""

import tensorflow as tf

from seer_tf.distributed import collectives


def first_choices(scores: tf.Tensor) -> tf.Tensor:
    """Returns of how many rows of this replica each prototype is the first choice, float32 [K].

    Args:
        scores: [..., K], scores or codes.
    """
    num_prototypes = scores.shape[-1]
    chosen = tf.one_hot(tf.argmax(scores, axis=-1), num_prototypes)  # [..., K]
    return tf.reduce_sum(tf.reshape(chosen, [-1, num_prototypes]), axis=0)


def prototype_usage(codes: tf.Tensor) -> tf.Tensor:
    """Returns the share of prototypes that are the first choice of some image of the batch over all replicas.

    Args:
        codes: [..., B, K].

    Returns:
        A float32 scalar from 1 / K, when all images have one prototype, to 1.
    """
    return tf.reduce_mean(tf.cast(collectives.all_reduce(first_choices(codes)) > 0, tf.float32))


def entropy(probabilities: tf.Tensor) -> tf.Tensor:
    """Returns the mean entropy of rows that sum to one, such as codes.

    Args:
        probabilities: [..., K].

    Returns:
        A scalar in nats, of the dtype of the probabilities, from 0 (each row names one prototype) to ln K.
    """
    return -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1))


def prediction_entropy(scores: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Returns the mean entropy of softmax(scores / temperature) in nats, a scalar; scores are [..., K]."""
    return entropy(tf.nn.softmax(scores / temperature))


def view_agreement(scores: tf.Tensor) -> tf.Tensor:
    """Returns the share of pairs of crops of one image whose nearest prototype is the same.

    Args:
        scores: [V, B, K] with two or more crops.

    Returns:
        A float32 scalar; about 1 / K for a network that sees nothing, and 1 for one that has collapsed or learned.
    """
    nearest = tf.argmax(scores, axis=-1)  # [V, B]
    num_crops = nearest.shape[0]
    same = tf.reduce_mean(tf.cast(nearest[:, tf.newaxis] == nearest, tf.float32), axis=-1)  # [V, V]
    return (tf.reduce_sum(same) - num_crops) / (num_crops * (num_crops - 1))  # without the ones on the diagonal


def rank_me(features: tf.Tensor) -> tf.Tensor:
    """Returns the effective number of dimensions that the features span (RankMe, arXiv 2210.02885, equation 3).

    The exponential of the entropy of the singular values over their sum.

    Args:
        features: [N, D], embeddings or pooled features, not centred; N should be several times D.

    Returns:
        A scalar from 1, when all rows are multiples of one row or zero, to min(N, D).
    """
    singular_values = tf.linalg.svd(features, compute_uv=False)  # [min(N, D)]
    return tf.exp(entropy(tf.math.divide_no_nan(singular_values, tf.reduce_sum(singular_values))))


def feature_std(features: tf.Tensor) -> tf.Tensor:
    """Returns the standard deviation over rows, averaged over dimensions, of rows scaled to unit norm.

    Args:
        features: [N, D].

    Returns:
        A scalar from 0, when all rows point one way, to about 1 / sqrt(D) (SimSiam, arXiv 2011.10566, section 4.1).
    """
    return tf.reduce_mean(tf.math.reduce_std(tf.math.l2_normalize(features, axis=-1), axis=0))
