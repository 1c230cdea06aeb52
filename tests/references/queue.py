"""SwAV's queue in NumPy: embeddings of all replicas, newest first, and the codes of a batch with the queue."""

from typing import Any

import numpy as np

from tests.references.sinkhorn import sinkhorn


class Queue:
    """A queue with the last `length` embeddings of one assigning crop."""

    def __init__(self, length: int, dim: int) -> None:
        """Creates an empty queue."""
        self.length, self.rows = length, np.zeros((0, dim))

    def codes(self, embeddings: np.ndarray, prototypes: np.ndarray, *, used: bool, **settings: Any) -> np.ndarray:
        """Returns the codes [B, K] of a batch of embeddings [B, D] for prototypes [K, D]."""
        rows = np.concatenate([self.rows, embeddings]) if used else embeddings
        return sinkhorn(rows @ prototypes.T, **settings)[-len(embeddings) :]

    def push(self, embeddings: np.ndarray) -> None:
        """Adds a batch [B, D] and removes the oldest embeddings."""
        self.rows = np.concatenate([embeddings, self.rows])[: self.length]

    @property
    def full(self) -> bool:
        """Whether the queue has `length` embeddings."""
        return len(self.rows) == self.length
