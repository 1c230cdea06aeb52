"""k-nearest-neighbour classification by cosine similarity, in a pass over bank and queries that never holds [Q, N].

Wu et al., "Unsupervised feature learning via non-parametric instance discrimination" (2018), section 3.4, as in
DINO and VISSL: each of the k nearest images of the bank votes for its class with weight exp(similarity / temperature).
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.progress import Progress

# Q queries, N images in the bank, C feature channels, k neighbours
NUM_NEIGHBOURS = (10, 20, 100, 200)
TEMPERATURE = 0.07

_QUERIES_PER_CHUNK = 1024
_BANK_PER_CHUNK = 16384


def nearest(
    bank: np.ndarray, queries: np.ndarray, num_neighbours: int, *, label: str = "nearest neighbours"
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest images of the bank by cosine similarity, the nearest first; the earlier of two equals first.

    Args:
        bank: float [N, C], any length.
        queries: float [Q, C], any length.
        num_neighbours: k, at most N.
        label: what the progress line says.

    Returns:
        Similarities, float32 [Q, k], and positions in the bank, int32 [Q, k].

    Raises:
        InputError: k is larger than the bank, or bank and queries are not features of one kind.
    """
    if num_neighbours > len(bank):
        raise InputError(f"{num_neighbours} neighbours were asked of a bank of {len(bank)} images; ask for fewer")
    if bank.shape[1] != queries.shape[1]:
        raise InputError(
            f"the bank has {bank.shape[1]} channels and the queries {queries.shape[1]}; take both from one model"
        )
    similarities, positions = [], []
    with Progress(len(queries), "image", label) as progress:
        for start in range(0, len(queries), _QUERIES_PER_CHUNK):
            chunk = queries[start : start + _QUERIES_PER_CHUNK]
            best, where = _nearest_of_chunk(bank, _unit(chunk), num_neighbours)
            similarities.append(best)
            positions.append(where)
            progress.advance(len(chunk))
    return np.concatenate(similarities), np.concatenate(positions)


def knn_accuracy(
    bank: np.ndarray,
    bank_labels: np.ndarray,
    queries: np.ndarray,
    query_labels: np.ndarray,
    *,
    num_classes: int,
    ks: Sequence[int] = NUM_NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> dict[int, float]:
    """Classifies the queries by weighted votes and counts how many are right, for every k in one pass.

    Args:
        bank: float [N, C].
        bank_labels: int [N], in [0, num_classes).
        queries: float [Q, C].
        query_labels: int [Q].
        num_classes: how many classes there are.
        ks: numbers of neighbours; those larger than the bank are left out of the answer.
        temperature: of the votes' weights; infinity lets every neighbour weigh the same.

    Returns:
        Top-1 accuracy, a fraction, for each k that the bank allows.

    Raises:
        InputError: the bank is smaller than every k.
    """
    possible = sorted(k for k in set(ks) if k <= len(bank))
    if not possible:
        raise InputError(f"a vote of {min(ks)} neighbours needs as many training images, not {len(bank)}; add images")
    similarities, positions = nearest(bank, queries, possible[-1], label="k-NN")
    # Relative to the nearest one, so that no weight overflows; the vote does not change.
    weights = np.exp((similarities - similarities[:, :1]) / temperature)  # [Q, k]
    neighbours = np.asarray(bank_labels)[positions]  # [Q, k]
    votes = np.zeros([len(queries), num_classes])
    rows = np.arange(len(queries))
    accuracies = {}
    for rank in range(possible[-1]):
        votes[rows, neighbours[:, rank]] += weights[:, rank]
        if rank + 1 in possible:
            accuracies[rank + 1] = float(np.mean(votes.argmax(axis=1) == query_labels))
    return accuracies


def _nearest_of_chunk(bank: np.ndarray, queries: tf.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the k best of the bank for a few queries, carrying k candidates from piece to piece of the bank."""
    best = tf.zeros([len(queries), 0])
    where = tf.zeros([len(queries), 0], tf.int32)
    for start in range(0, len(bank), _BANK_PER_CHUNK):
        piece = _unit(bank[start : start + _BANK_PER_CHUNK])
        similarities = tf.matmul(queries, piece, transpose_b=True)  # [q, n]
        positions = tf.broadcast_to(tf.range(start, start + len(piece)), tf.shape(similarities))  # [q, n]
        # Candidates come first: top_k keeps the earlier of two equals, which is the earlier in the bank.
        candidates = tf.concat([best, similarities], axis=1)
        chosen = tf.math.top_k(candidates, min(k, candidates.shape[1]))
        best, where = chosen.values, tf.gather(tf.concat([where, positions], axis=1), chosen.indices, batch_dims=1)
    return best.numpy(), where.numpy()


def _unit(features: np.ndarray) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=1)
