"""The classes of images that may have several classes, some of which may be unknown.

N images, L classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

PRESENT, ABSENT, UNKNOWN = 1, 0, -1


class LabelRows:
    """A matrix int8 [N, L] of `PRESENT`, `ABSENT` and `UNKNOWN`; rows are made when they are asked for."""

    def __init__(
        self,
        classes: Sequence[tuple[int, ...]],
        absent: Sequence[tuple[int, ...]] | None,
        numbering: np.ndarray,
        num_classes: int,
    ) -> None:
        """Takes the classes of images.

        Args:
            classes: Classes of each image, in the numbering of its data.
            absent: Classes that each image is known to lack; None for all that it does not have.
            numbering: Column of each class of the data, int [classes of the data]; -1 for a class without a column.
            num_classes: L.
        """
        self._classes, self._absent, self._numbering, self._num_classes = classes, absent, numbering, num_classes

    def __len__(self) -> int:
        """Returns N."""
        return len(self._classes)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns some of the rows, int8 [n, L]."""
        numbers = np.arange(len(self))[rows]
        other = ABSENT if self._absent is None else UNKNOWN
        matrix = np.full([len(numbers), self._num_classes], other, np.int8)
        for row, number in zip(matrix, numbers, strict=True):
            if self._absent is not None:
                columns = self._numbering[list(self._absent[number])]
                row[columns[columns >= 0]] = ABSENT
            row[self._numbering[list(self._classes[number])]] = PRESENT
        return matrix

    def present(self) -> np.ndarray:
        """Returns the classes of all images one after another, int64 [n]."""
        return self._numbering[[number for classes in self._classes for number in classes]].astype(np.int64)
