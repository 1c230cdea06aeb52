"""Retrieval by cosine similarity: do the images nearest to a query have its class?

Shapes: Q queries, N images in the bank, D numbers of a feature. Images at the same distance share a rank, so that the
order of the bank does not matter. The average precision then equals scikit-learn's `average_precision_score`.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.evaluation.features.rows import Rows
from seer_tf.evaluation.protocols.knn import unit_rows
from seer_tf.progress import Progress

KS = (1, 5, 10)

_SIMILARITIES = 2**27  # in memory at a time: half a GiB as float32
_BANK_BYTES = 2**28


@dataclasses.dataclass(frozen=True, eq=False)
class Retrieval:
    """Results for the queries that have an image of their class in the bank.

    Attributes:
        queries: Numbers of the queries, int [n].
        average_precisions: Float64 [n].
        hits: Whether one of the k nearest images has the query's class, bool [n] for each k.
    """

    queries: np.ndarray
    average_precisions: np.ndarray
    hits: Mapping[int, np.ndarray]


def retrieval(
    bank: Rows,
    bank_labels: np.ndarray,
    queries: Rows,
    query_labels: np.ndarray,
    *,
    is_same_set: bool = False,
    ks: Sequence[int] = KS,
) -> Retrieval:
    """Ranks the bank for every query.

    Args:
        bank: Float [N, D].
        bank_labels: Int [N].
        queries: Float [Q, D].
        query_labels: Int [Q].
        is_same_set: Whether query i is image i of the bank. That image then does not count for the query.
        ks: Numbers of nearest images.

    Raises:
        InputError: No query has an image of its class in the bank, or the features of bank and queries have different
            lengths.
    """
    precisions, ranks = np.full(len(queries), np.nan), np.full(len(queries), -1)
    with Progress(len(queries), "query", "retrieval") as progress:
        for first, similarities in similarities_by_chunk(bank, queries):
            for number, of_query in enumerate(similarities, start=first):
                is_relevant = bank_labels == query_labels[number]  # [N]
                if is_same_set:
                    of_query[number], is_relevant[number] = -np.inf, False
                if is_relevant.any():
                    precisions[number], ranks[number] = _judged(of_query, is_relevant)
                progress.advance()
    found = np.flatnonzero(ranks >= 0)
    if not found.size:
        raise InputError("no query has another image of its class to find; give classes with two images or more")
    return Retrieval(found, precisions[found], {k: ranks[found] < k for k in ks})


def _judged(similarities: np.ndarray, is_relevant: np.ndarray) -> tuple[float, int]:
    """Returns the average precision, and the number of images that are nearer than the nearest relevant one."""
    everybody, relevant = np.sort(similarities), np.sort(similarities[is_relevant])
    num_at_least = len(everybody) - np.searchsorted(everybody, relevant, side="left")
    num_relevant_at_least = len(relevant) - np.searchsorted(relevant, relevant, side="left")
    num_nearer = len(everybody) - int(np.searchsorted(everybody, relevant[-1], side="right"))
    return float(np.mean(num_relevant_at_least / num_at_least)), num_nearer


def similarities_by_chunk(bank: Rows, queries: Rows) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number of the first query of a chunk, and the chunk's similarities, float32 [q, N]."""
    if bank.shape[1] != queries.shape[1]:
        raise InputError(
            f"the bank has {bank.shape[1]} channels and the queries {queries.shape[1]}; take both from one model"
        )
    num_queries, num_rows = max(1, _SIMILARITIES // len(bank)), max(1, _BANK_BYTES // (4 * bank.shape[1]))
    for first in range(0, len(queries), num_queries):
        asked = unit_rows(queries[first : first + num_queries])
        similarities = np.empty([len(asked), len(bank)], np.float32)
        for start in range(0, len(bank), num_rows):
            part = unit_rows(bank[start : start + num_rows])
            similarities[:, start : start + num_rows] = tf.matmul(asked, part, transpose_b=True)
        yield first, similarities
