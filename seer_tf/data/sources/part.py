"""A part of a source, at even distances, for runs that differ in the number of their images alone."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from seer_tf.config import DataConfig
from seer_tf.data.sources.base import Source, single_labels
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.view import View
from seer_tf.errors import InputError
from seer_tf.quantities import counted


class Part(View):
    """The images `number * N // num_images` of a source of N; nothing is listed, however many there are."""

    def __init__(self, source: Source, num_images: int) -> None:
        """Takes a part of a source.

        Args:
            source: All images.
            num_images: Number of images in the part.

        Raises:
            InputError: The source has fewer images.
        """
        if num_images > source.num_images:
            raise InputError(
                f"data.num_images={num_images} is more than the data has, {counted(source.num_images, 'image')}; lower "
                "it, or set it to 0 for all of them"
            )
        super().__init__(source)
        self._num_images = num_images
        self.ids = _Names(source.ids, num_images)

    @property
    def num_images(self) -> int:
        """Number of images in the part."""
        return self._num_images

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None unless each image has exactly one."""
        return None if self.class_names is None else single_labels(map(self.classes_of, range(self.num_images)))

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._source.classes_of(self._number(index))

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have."""
        return self._source.absent_of(self._number(index))

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the source and the part."""
        of_source = self._source.fingerprint(with_classes=with_classes)
        return hashlib.sha256(f"{of_source}, {self.num_images} of them".encode()).hexdigest()

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._source.read(self._number(index))

    def _number(self, index: int) -> int:
        return _spread(index, self._num_images, self._source.num_images)


def training_images(config: DataConfig) -> Source:
    """Opens the images that a run is trained on: those of `data.source`, or the part that `data.num_images` says.

    Raises:
        InputError: They cannot be opened, or there are fewer.
    """
    source = open_source(config.source)
    return Part(source, config.num_images) if config.num_images else source


class _Names(Sequence[str]):
    """The names of the images of a part."""

    def __init__(self, names: Sequence[str], num_images: int) -> None:
        self._names, self._num_images = names, num_images

    def __len__(self) -> int:
        return self._num_images

    def __getitem__(self, index: Any) -> Any:
        chosen = range(self._num_images)[index]  # raises IndexError, which ends an iteration
        if isinstance(chosen, range):
            return [self[number] for number in chosen]
        return self._names[_spread(chosen, self._num_images, len(self._names))]


def _spread(index: int, num_images: int, of_all: int) -> int:
    return index * of_all // num_images
