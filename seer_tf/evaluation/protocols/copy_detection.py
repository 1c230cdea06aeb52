"""Copy detection: is the image that is nearest to a changed copy its original?

CopyDays (Douze et al. 2009) has 157 photos, and copies of them: cropped, compressed, or attacked strongly, which are
the 229 copies of its strong subset. As in VISSL's `CopyDaysDataset`, copies are the queries, and the bank holds the
originals and distractors, which are copies of nothing. The number at the end of a name, without its last two digits, is
the same for an original and its copies.

The average precision of a query is that of CopyDays' toolkit: the area of trapezoids below precision over recall. With
one original at rank r from zero it is 1 for r = 0, and 1 / (2 (r + 1)) otherwise; scikit-learn's would be 1 / (r + 1).

Q queries, N images in the bank, D numbers of a descriptor.
"""

import dataclasses
import os
import re
from collections.abc import Sequence

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.knn import nearest
from seer_tf.evaluation.protocols.retrieval import similarities_by_chunk

_NUMBER = re.compile(r"\d+$")
_COPIES_OF_ONE = 100
_DISTRACTOR = "distractor"


@dataclasses.dataclass(frozen=True, eq=False)
class CopyDetection:
    """Results for the queries whose original is in the bank.

    Attributes:
        queries: Numbers of the queries, int [n].
        average_precisions: Float64 [n].
        is_first: Whether the nearest image of the bank is an original of the query, bool [n].
    """

    queries: np.ndarray
    average_precisions: np.ndarray
    is_first: np.ndarray


@dataclasses.dataclass(frozen=True)
class Copy:
    """An image that may be a copy.

    Attributes:
        name: Its name.
        nearest: Name of the nearest image in the bank.
        similarity: Cosine of their descriptors.
    """

    name: str
    nearest: str
    similarity: float


def block_of(name: str) -> int | None:
    """Returns the number that CopyDays gives an original and its copies; None for a distractor or another name."""
    stem = os.path.splitext(os.path.basename(name))[0]
    number = _NUMBER.search(stem)
    return None if number is None or _DISTRACTOR in stem else int(number[0]) // _COPIES_OF_ONE


def trapezoid_average_precision(ranks: Sequence[int]) -> float:
    """Returns the average precision of one query.

    Args:
        ranks: Ranks of all images that belong to it, from zero, rising.
    """
    heights = [
        (number / rank if rank else 1.0) + (number + 1) / (rank + 1) for number, rank in enumerate(ranks)
    ]  # on the left and on the right
    return sum(heights) / 2 / len(ranks)


def copy_detection(
    bank: np.ndarray, bank_blocks: Sequence[int | None], queries: np.ndarray, query_blocks: Sequence[int | None]
) -> CopyDetection:
    """Ranks the bank for every query.

    Args:
        bank: Descriptors, float [N, D].
        bank_blocks: What each image is a copy of; None for a distractor.
        queries: Descriptors, float [Q, D].
        query_blocks: What each query is a copy of; None for nothing.

    Raises:
        InputError: No query has an original in the bank.
    """
    of_bank = np.array([-1 if block is None else block for block in bank_blocks])
    found: list[tuple[int, float, bool]] = []
    for first, similarities in similarities_by_chunk(bank, queries):
        for number, of_query in enumerate(similarities, start=first):
            is_original = (of_bank == query_blocks[number]) & (of_bank >= 0)  # [N]
            if is_original.any():
                ranks = np.flatnonzero(is_original[np.argsort(-of_query, kind="stable")]).tolist()
                found.append((number, trapezoid_average_precision(ranks), ranks[0] == 0))
    if not found:
        raise InputError("no image is a copy of one in the bank, by CopyDays' numbers at the end of their names")
    numbers, precisions, is_first = zip(*found, strict=True)
    return CopyDetection(np.array(numbers), np.array(precisions), np.array(is_first))


def likely_copies(
    bank: np.ndarray, bank_names: Sequence[str], images: np.ndarray, names: Sequence[str], *, threshold: float
) -> list[Copy]:
    """Returns the images whose nearest one in the bank is no less similar than a threshold, in their order.

    Args:
        bank: Descriptors, float [N, D].
        bank_names: Names of the images in the bank.
        images: Descriptors, float [Q, D].
        names: Names of the images.
        threshold: Least cosine.
    """
    similarities, positions = nearest(bank, images, 1)
    return [
        Copy(name, bank_names[int(position)], float(similarity))
        for name, (similarity,), (position,) in zip(names, similarities, positions, strict=True)
        if similarity >= threshold
    ]
