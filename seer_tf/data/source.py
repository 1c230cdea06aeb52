"""What every kind of source offers: images by number, their names and, for evaluation, their classes."""

import abc
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

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`, for evaluation only; None without classes."""
        return None

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
