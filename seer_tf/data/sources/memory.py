"""Images in memory: NumPy arrays or a `tf.data.Dataset`, kept as PNG, so that every pixel stays what it was."""

import io
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
from PIL import Image

from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

_PNG_LEVEL = 1  # fast


class Dataset(Protocol):
    """The part of a `tf.data.Dataset` that is used here."""

    def as_numpy_iterator(self) -> Iterable[Any]:
        """Returns its elements as NumPy arrays, or as tuples of them."""


class MemorySource(Source):
    """Images that were given as arrays. Their names are their numbers."""

    is_verified = True

    def __init__(self, images: Iterable[np.ndarray], labels: Sequence[Any] | np.ndarray | None = None) -> None:
        """Encodes the images.

        Args:
            images: Images, uint8 `[h, w, 3]` each.
            labels: Class of each image, as numbers or names; None without classes.

        Raises:
            InputError: There is no image, an image has another shape or type, or there are more or fewer labels.
        """
        self._encoded = [_encode(np.asarray(image), number) for number, image in enumerate(images)]
        if not self._encoded:
            raise InputError("the data hold no image; give uint8 images [h, w, 3]")
        self.ids = [str(number) for number in range(len(self._encoded))]
        self._labels: np.ndarray | None = None
        if labels is not None:
            self.class_names, self._labels = _classes(np.asarray(labels), len(self.ids))

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> Self:
        """Reads a dataset to its end.

        Args:
            dataset: Elements are images, uint8 `[h, w, 3]`, or pairs of an image and its class; no batches.

        Raises:
            InputError: As for the constructor.
        """
        elements = list(dataset.as_numpy_iterator())
        if not all(isinstance(element, tuple) and len(element) == 2 for element in elements):
            return cls(elements)
        return cls([image for image, _ in elements], [label for _, label in elements])

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None without classes."""
        return self._labels

    def read(self, index: int) -> bytes:
        """Returns image `index` as PNG."""
        return self._encoded[index]


def _encode(image: np.ndarray, number: int) -> bytes:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or not image.size:
        raise InputError(
            f"image {number} of the data is {image.dtype} {list(image.shape)}; give uint8 [h, w, 3], one image in each "
            "element, with values from 0 to 255"
        )
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG", compress_level=_PNG_LEVEL)
    return encoded.getvalue()


def _classes(labels: np.ndarray, num_images: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names of the classes, and the class of each image, int64 `[num_images]`."""
    if labels.shape != (num_images,):
        raise InputError(f"the labels are of shape {list(labels.shape)} for {num_images} images; give one for each")
    values, numbers = np.unique(labels, return_inverse=True)
    names = (value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())
    return tuple(names), numbers.astype(np.int64)
