"""Features that may lie in files: as much of an array as evaluations need."""

from typing import Any, Protocol

import numpy as np


class Rows(Protocol):
    """An array [N, D], of which a few rows at a time are in memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns (N, D)."""

    def __len__(self) -> int:
        """Returns N."""

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns the rows of a slice, or of numbers int [n], as an array [n, D]."""


class SelectedRows:
    """Some rows of others, in an order of the user; nothing is read until it is asked for."""

    def __init__(self, rows: Rows, numbers: np.ndarray) -> None:
        """`numbers` are those of the rows that are selected, int [n]."""
        self._rows, self._numbers = rows, numbers
        self.shape = (len(numbers), rows.shape[1])

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self._numbers)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns the rows of a slice, or of numbers int [n], as an array [n, D]."""
        return self._rows[self._numbers[rows]]
