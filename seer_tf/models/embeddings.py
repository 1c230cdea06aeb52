"""Measures of features and embeddings: how far they spread, and how near the two views of an image are.

Legend: N rows, B images, D dimensions.
"""

import tensorflow as tf


def unit_norm(x: tf.Tensor) -> tf.Tensor:
    """Divides each row by its norm, or by 1e-12 if that is larger, as PyTorch's `normalize` does."""
    return tf.math.l2_normalize(x, axis=-1, epsilon=1e-24)


def rank_me(features: tf.Tensor) -> tf.Tensor:
    """Returns the effective number of dimensions that the features span (RankMe, arXiv 2210.02885, equation 3).

    RankMe divides the singular values by their sum and takes the exponential of the entropy of the result.

    Args:
        features: Embeddings or pooled features [N, D], not centred. N should be several times D.

    Returns:
        A scalar from 1, if all rows are multiples of one row or zero, to min(N, D).
    """
    with tf.device("CPU:0"):  # on a GPU the decomposition would be sequential and need work space
        singular_values = tf.linalg.svd(features, compute_uv=False)  # [min(N, D)]
    shares = tf.math.divide_no_nan(singular_values, tf.reduce_sum(singular_values))
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(shares, shares)))


def feature_std(features: tf.Tensor) -> tf.Tensor:
    """Scales rows to unit norm and returns their standard deviation over rows, averaged over dimensions.

    Args:
        features: Features [N, D].

    Returns:
        A scalar from 0, if all rows point in one direction, to about 1 / sqrt(D) (SimSiam, arXiv 2011.10566,
        section 4.1).
    """
    return tf.reduce_mean(tf.math.reduce_std(tf.math.l2_normalize(features, axis=-1), axis=0))


def alignment(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Returns the mean squared distance between two views of the same images (Wang & Isola, arXiv 2005.10242).

    Args:
        one: Embeddings of the first view [B, D], rows of unit norm.
        other: Embeddings of the second view, likewise.

    Returns:
        A scalar from 0, if views of an image are alike, over 2, if they have nothing in common, to 4.
    """
    return tf.reduce_mean(tf.reduce_sum(tf.square(one - other), axis=-1))


def uniformity(rows: tf.Tensor) -> tf.Tensor:
    """Returns ln of the mean of exp(-2 d^2) over the distances d between different rows (arXiv 2005.10242).

    Args:
        rows: Embeddings of different images [B, D], of unit norm, two or more.

    Returns:
        A scalar from about -4, if rows point in all directions of many dimensions, to 0, if all rows are alike.
    """
    num_rows = rows.shape[0]
    potentials = tf.exp(4 * (tf.matmul(rows, rows, transpose_b=True) - 1))  # [B, B], d^2 = 2 - 2 cos
    of_pairs = tf.reduce_sum(potentials) - tf.reduce_sum(tf.linalg.diag_part(potentials))
    return tf.math.log(of_pairs / (num_rows * (num_rows - 1)))
