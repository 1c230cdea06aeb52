"""Nearest-neighbour search in a bank of features, in a separate process.

`python -m benchmarks.suite.nearest_neighbours BANK` prints seconds and memory as a line of JSON. The bank is generated
piece by piece, as if it were read from files, so that only the search needs memory.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys
from typing import Any

import numpy as np

from benchmarks.harness import own_process
from seer_tf.evaluation.protocols.knn import nearest
from seer_tf.progress import silent

DIM, QUERIES, NEIGHBOURS = 512, 1000, 20
_BLOCK = 1 << 12


class Bank:
    """Random features, float32 [N, DIM], that are in memory only while they are used."""

    def __init__(self, num_images: int) -> None:
        """Creates one block of rows, which all slices repeat."""
        self.shape = (num_images, DIM)
        self._block = np.random.default_rng(0).normal(size=[_BLOCK, DIM]).astype(np.float32)

    def __len__(self) -> int:
        """Returns N."""
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns the rows at a slice."""
        return self._block[np.arange(*rows.indices(len(self))) % _BLOCK]


def _main(num_images: str) -> None:
    bank, queries = Bank(int(num_images)), np.random.default_rng(1).normal(size=[QUERIES, DIM]).astype(np.float32)
    with silent():
        own_process.report(lambda: nearest(bank, queries, NEIGHBOURS), 1)


if __name__ == "__main__":
    _main(*sys.argv[1:])
