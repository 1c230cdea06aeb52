"""What every kind of source offers: images by number, their names and, for evaluation, their classes."""

import abc
import hashlib
import json
from collections.abc import Sequence

import numpy as np


class Source(abc.ABC):
    """Encoded images with random access; `read` may be called from several threads at once."""

    #: One name per image, unique, in the source's own order.
    ids: Sequence[str]
    #: Names of the classes; None without classes.
    class_names: tuple[str, ...] | None = None
    #: Name and reason of what was found but left out when the source was opened.
    rejected: Sequence[tuple[str, str]] = ()
    #: Whether each image was decoded once when the source was made, so that it will decode again.
    is_verified = False

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`, for evaluation only; None unless each image has exactly one."""
        return None

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns the classes of image `index`, any number of them."""
        return () if self.labels is None else (int(self.labels[index]),)

    @property
    def label_matrix(self) -> np.ndarray | None:
        """Which classes each image has, bool `[num_images, num_classes]`; None without classes."""
        if self.class_names is None:
            return None
        matrix = np.zeros((self.num_images, len(self.class_names)), bool)
        for index in range(self.num_images):
            matrix[index, list(self.classes_of(index))] = True
        return matrix

    def fingerprint(self) -> str:
        """Returns what tells these images from others without reading them: SHA-256 of names and classes, in hex."""
        digest = hashlib.sha256(json.dumps(self.class_names).encode())
        for index, name in enumerate(self.ids):
            digest.update(f"{name}\0{self.classes_of(index)}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`.

        Raises:
            UnusableImageError: this one image cannot be read, or is not what was written.
            InputError: the place that it lies in has vanished.
        """
