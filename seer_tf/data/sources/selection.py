"""Some images of a source, as a source of their own."""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np

from seer_tf.data.sources.base import Source, single_labels
from seer_tf.data.sources.view import View


class Selection(View):
    """Chosen images of another source, in a chosen order."""

    def __init__(self, source: Source, numbers: Sequence[int] | np.ndarray) -> None:
        """Takes the images with these `numbers` in `source`."""
        super().__init__(source)
        #: Numbers of the images in the source, int64 `[num_images]`.
        self.numbers = np.array(numbers, np.int64)
        self.ids = [source.ids[number] for number in self.numbers.tolist()]

    @property
    def num_images(self) -> int:
        """Number of chosen images."""
        return len(self.numbers)

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each chosen image has exactly one."""
        if self._source.labels is not None:
            return self._source.labels[self.numbers]
        if self.class_names is None:
            return None
        return single_labels(map(self.classes_of, range(self.num_images)))

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._source.classes_of(int(self.numbers[index]))

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have."""
        return self._source.absent_of(int(self.numbers[index]))

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the source and the chosen images."""
        of_source = self._source.fingerprint(with_classes=with_classes)
        return hashlib.sha256(repr((of_source, self.numbers.tolist())).encode()).hexdigest()

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._source.read(int(self.numbers[index]))
