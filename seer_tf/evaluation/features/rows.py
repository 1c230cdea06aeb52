"""Rows of features in memory or in files: the part of an array's interface that evaluations need."""

from typing import Any, Protocol

import numpy as np


class Rows(Protocol):
    """An array [N, D] whose rows may be read from files, a few at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Returns (N, D)."""

    def __len__(self) -> int:
        """Returns N."""

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns the rows at a slice, or at positions int [n], as an array [n, D]."""


class SelectedRows:
    """A selection of rows in a given order. It reads nothing until rows are asked for."""

    def __init__(self, rows: Rows, numbers: np.ndarray) -> None:
        """Selects rows.

        Args:
            rows: All rows, [N, D].
            numbers: Positions of the selected rows, int [n].
        """
        self._rows, self._numbers = rows, numbers
        self.shape = (len(numbers), rows.shape[1])

    def __len__(self) -> int:
        """Returns n."""
        return len(self._numbers)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns the rows at a slice, or at positions int [n], as an array [n, D]."""
        return self._rows[self._numbers[rows]]
