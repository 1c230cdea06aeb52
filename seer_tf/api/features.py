"""The features of images that `load(…).features(…)` returns."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from seer_tf.api import tables

_NUM_SHOWN = 5
_NUMBERS_SHOWN = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """Features of N images. `numpy.asarray(features)` is `features.values`.

    Attributes:
        ids: Names of the images.
        values: Features, float32 `[N, C]`.
        labels: Class of each image, int64 `[N]`; None unless each image has exactly one class.
        class_names: Names of the classes; None without classes.
    """

    ids: Sequence[str]
    values: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None

    def __len__(self) -> int:
        """Returns N."""
        return len(self.ids)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns the values."""
        return np.array(self.values, dtype, copy=copy)

    def __repr__(self) -> str:
        """Returns a description of the size."""
        num_classes = "" if self.class_names is None else f", {len(self.class_names)} classes"
        return f"<Features of {len(self)} images, {self.values.shape[1]} numbers each{num_classes}>"

    def _repr_html_(self) -> str:
        """Returns the size and the first rows as a table."""
        rows = [self._cells(number) for number in range(min(_NUM_SHOWN, len(self)))]
        return f"<p>{repr(self)[1:-1]}</p>" + tables.table(("image", "class", "features"), rows)

    def _cells(self, number: int) -> tuple[str, str, str]:
        names, labels = self.class_names, self.labels
        class_name = "" if names is None or labels is None else names[labels[number]]
        begin = ", ".join(f"{value:.3f}" for value in self.values[number, :_NUMBERS_SHOWN])
        return self.ids[number], class_name, f"{begin}, …"
