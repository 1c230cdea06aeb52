"""The queue of SwAV in NumPy: embeddings of all replicas, newest first, and the codes that it helps to find."""

from typing import Any

import numpy as np

from tests.references.sinkhorn import sinkhorn


class Queue:
    """Holds the last `length` embeddings of one assigning crop."""

    def __init__(self, length: int, dim: int) -> None:
        """Starts empty."""
        self.length, self.rows = length, np.zeros((0, dim))

    def codes(self, embeddings: np.ndarray, prototypes: np.ndarray, *, used: bool, **settings: Any) -> np.ndarray:
        """Returns the codes [B, K] of a batch of embeddings [B, D], by prototypes [K, D]."""
        rows = np.concatenate([self.rows, embeddings]) if used else embeddings
        return sinkhorn(rows @ prototypes.T, **settings)[-len(embeddings) :]

    def push(self, embeddings: np.ndarray) -> None:
        """Lets a batch [B, D] in, and the oldest out."""
        self.rows = np.concatenate([embeddings, self.rows])[: self.length]

    @property
    def full(self) -> bool:
        """Tells whether no place is empty."""
        return len(self.rows) == self.length
