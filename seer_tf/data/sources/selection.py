"""Some images of a source, as a source of their own."""

import functools
from collections.abc import Sequence

import numpy as np

from seer_tf.data.sources.base import Source


class Selection(Source):
    """Images of another source, in an order of one's own."""

    def __init__(self, source: Source, numbers: Sequence[int] | np.ndarray) -> None:
        """`numbers` are those of the images in `source`."""
        self._source, self._numbers = source, [int(number) for number in numbers]
        self.ids = [source.ids[number] for number in self._numbers]
        self.class_names = source.class_names

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None where the other source has none."""
        labels = self._source.labels
        return None if labels is None else labels[self._numbers]

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._source.read(self._numbers[index])
