"""k-nearest-neighbour classification by cosine similarity, in one pass over the bank for all k and many queries.

Wu et al., "Unsupervised feature learning via non-parametric instance discrimination" (2018), section 3.4, as in
DINO and VISSL: each of the k nearest images in the bank votes for its class with weight exp(similarity / temperature).

Shapes: Q queries, N images in the bank, D numbers of a feature, k neighbours. The bank may be in files (`rows.Rows`).
Only a part of the bank, and only a part of the similarities, is in memory at a time.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.evaluation.features.rows import Rows
from seer_tf.progress import Progress
from seer_tf.quantities import counted

NUM_NEIGHBOURS = (10, 20, 100, 200)
TEMPERATURE = 0.07

_QUERY_BYTES = 2**29  # as float32; more queries than fit into these bytes need a further pass over the bank
_BANK_BYTES = 2**28
_SIMILARITIES = 2**24
#: Shorter features are scaled as if they had this length.
_SHORTEST = 1e-6


def nearest(
    bank: Rows, queries: Rows, num_neighbours: int, *, label: str = "nearest neighbours"
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest images in the bank by cosine similarity, nearest first. Equal ones keep the bank's order.

    Args:
        bank: Float [N, D], any length.
        queries: Float [Q, D], any length.
        num_neighbours: K, at most N.
        label: Text of the progress line.

    Returns:
        Similarities, float32 [Q, k], and positions in the bank, int32 [Q, k].

    Raises:
        InputError: k is larger than the bank, or the features of bank and queries have different lengths.
    """
    if num_neighbours > len(bank):
        raise InputError(
            f"a bank with {counted(len(bank), 'image')} has no {counted(num_neighbours, 'neighbour')} for a query; ask "
            "for fewer"
        )
    if bank.shape[1] != queries.shape[1]:
        raise InputError(
            f"the bank has {bank.shape[1]} channels and the queries {queries.shape[1]}; take both from one model"
        )
    blocks = list(_pieces(len(queries), _QUERY_BYTES // (4 * bank.shape[1])))
    found = []
    with Progress(len(blocks) * len(bank), "image", label) as progress:
        for block in blocks:
            found.append(_nearest_of_block(bank, unit_rows(queries[block]), num_neighbours, progress))
    similarities, positions = zip(*found, strict=True)
    return np.concatenate(similarities), np.concatenate(positions)


def knn_correct(
    bank: Rows,
    bank_labels: np.ndarray,
    queries: Rows,
    query_labels: np.ndarray,
    *,
    num_classes: int,
    ks: Sequence[int] = NUM_NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> dict[int, np.ndarray]:
    """Classifies the queries by weighted votes, for all k in one pass.

    Args:
        bank: Float [N, D].
        bank_labels: Int [N], in [0, num_classes).
        queries: Float [Q, D].
        query_labels: Int [Q].
        num_classes: Number of classes.
        ks: Numbers of neighbours; those larger than the bank are left out of the result.
        temperature: Temperature of the votes' weights; with infinity all neighbours have the same weight.

    Returns:
        Which queries are classified correctly, bool [Q], for each k up to the size of the bank.

    Raises:
        InputError: The bank is smaller than every k.
    """
    possible = sorted(k for k in set(ks) if k <= len(bank))
    if not possible:
        raise InputError(
            f"a vote of {min(ks)} neighbours needs at least as many training images, and there are {len(bank)}; add "
            "images"
        )
    similarities, positions = nearest(bank, queries, possible[-1], label="k-NN")
    # Weights relative to the nearest neighbour do not overflow, and do not change the vote.
    weights = np.exp((similarities - similarities[:, :1]) / temperature)  # [Q, k]
    neighbours = np.asarray(bank_labels)[positions]  # [Q, k]
    votes = np.zeros([len(queries), num_classes])
    rows = np.arange(len(queries))
    correct = {}
    for rank in range(possible[-1]):
        votes[rows, neighbours[:, rank]] += weights[:, rank]
        if rank + 1 in possible:
            correct[rank + 1] = votes.argmax(axis=1) == query_labels
    return correct


def knn_accuracy(
    bank: Rows,
    bank_labels: np.ndarray,
    queries: Rows,
    query_labels: np.ndarray,
    *,
    num_classes: int,
    ks: Sequence[int] = NUM_NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> dict[int, float]:
    """Returns the share of queries that `knn_correct` classifies correctly, for each k up to the size of the bank.

    Raises:
        InputError: The bank is smaller than every k.
    """
    correct = knn_correct(
        bank, bank_labels, queries, query_labels, num_classes=num_classes, ks=ks, temperature=temperature
    )
    return {k: float(np.mean(right)) for k, right in correct.items()}


def unit_rows(features: np.ndarray) -> tf.Tensor:
    """Returns the features scaled to unit length, float32 [n, D]; equal rows remain equal to the bit."""
    rows = tf.cast(features, tf.float32)
    # TensorFlow's own function multiplies by rsqrt, whose last bit depends on the row on processors with AVX-512.
    return rows / tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(rows), axis=1, keepdims=True), _SHORTEST**2))


def _nearest_of_block(bank: Rows, queries: tf.Tensor, k: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Goes through the bank once, piece by piece, and keeps the k best candidates of each query."""
    bank_rows = _BANK_BYTES // (4 * bank.shape[1])
    chunks = list(_pieces(len(queries), _SIMILARITIES // min(bank_rows, len(bank))))
    candidates = [
        (tf.zeros([chunk.stop - chunk.start, 0]), tf.zeros([chunk.stop - chunk.start, 0], tf.int32)) for chunk in chunks
    ]
    for piece in _pieces(len(bank), bank_rows):
        part = unit_rows(bank[piece])
        for number, chunk in enumerate(chunks):
            candidates[number] = _better(*candidates[number], queries[chunk], part, tf.constant(piece.start), k)
        progress.advance(len(part))
    similarities, positions = zip(*candidates, strict=True)
    return np.concatenate(similarities), np.concatenate(positions)


@tf.function(reduce_retracing=True)
def _better(
    best: tf.Tensor, where: tf.Tensor, queries: tf.Tensor, part: tf.Tensor, first: tf.Tensor, k: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the k best among earlier candidates and a part of the bank that begins at position `first`."""
    similarities = tf.matmul(queries, part, transpose_b=True)  # [q, n]
    num_before = tf.shape(best)[1]
    # Candidates come first, because top_k prefers the earlier of two equals, and candidates are earlier in the bank.
    chosen = tf.math.top_k(tf.concat([best, similarities], axis=1), tf.minimum(k, num_before + tf.shape(part)[0]))
    # The extra column gives new images something to look up; its value is not used.
    known = tf.gather(tf.pad(where, [[0, 0], [0, 1]]), tf.minimum(chosen.indices, num_before), batch_dims=1)
    positions = tf.where(chosen.indices < num_before, known, first + chosen.indices - num_before)
    return chosen.values, positions


def _pieces(length: int, size: int) -> Iterator[slice]:
    """Yields slices that cover `length` rows, each with `size` rows but at least one."""
    for start in range(0, length, max(1, size)):
        yield slice(start, min(start + max(1, size), length))
