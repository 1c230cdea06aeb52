"""The contract of a source: encoded images by number, with their names and, for evaluation, their classes."""

import abc
import hashlib
import json
from collections.abc import Iterable, Sequence

import numpy as np

from seer_tf.data.images.formats import UnusableImageError

_SAMPLE_IMAGES = 32


class Source(abc.ABC):
    """Encoded images with random access. Several threads may call `read` at once."""

    #: Names of the images, unique, in the order of the source.
    ids: Sequence[str]
    #: Names of the classes; None for a source without classes.
    class_names: tuple[str, ...] | None = None
    #: Name and reason for each file that was left out when the source was opened.
    rejected: Sequence[tuple[str, str]] = ()
    #: Whether every image was decoded once when the source was made, so that decoding will not fail.
    is_verified = False
    #: Number of neighbouring images that `in_blocks` reads at once; 1 if each image is read by itself.
    images_per_block: int = 1

    @property
    def num_images(self) -> int:
        """Number of images."""
        return len(self.ids)

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`, for evaluation only; None unless each image has exactly one."""
        return None

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return () if self.labels is None else (int(self.labels[index]),)

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have.

        Classes that an image neither has nor is known to lack do not count when a classifier is judged on it.
        """
        return None

    def in_blocks(self, num_kept: int) -> "Source":
        """Returns these images, read in blocks where neighbours can be read at once.

        Args:
            num_kept: Number of blocks that are kept in memory, those that were used last.
        """
        return self

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the images by their names and classes, without reading them.

        Args:
            with_classes: Whether the classes count.
        """
        digest = hashlib.sha256(json.dumps(self.class_names if with_classes else None).encode())
        for index, name in enumerate(self.ids):
            classes = self.classes_of(index) if with_classes else ()
            digest.update(f"{name}\0{classes}\0".encode("utf-8", "surrogateescape"))
            if with_classes and (absent := self.absent_of(index)) is not None:
                digest.update(f"{absent}\0".encode())
        return digest.hexdigest()

    def identity(self, *, with_classes: bool) -> str:
        """Returns what tells this set of images from others wherever it lies, e.g. `200 images, 3f2a9c…`.

        The digest is of the fingerprint and of the content of 32 images, evenly spaced, which are read.

        Args:
            with_classes: Whether the classes count.

        Raises:
            InputError: As for `read`.
        """
        digest = hashlib.sha256(self.fingerprint(with_classes=with_classes).encode())
        for index in np.unique(np.linspace(0, self.num_images - 1, _SAMPLE_IMAGES).astype(int)).tolist():
            try:
                digest.update(hashlib.sha256(self.read(index)).digest())
            except UnusableImageError:
                digest.update(b"unusable")
        return f"{self.num_images} images, {digest.hexdigest()[:16]}"

    @abc.abstractmethod
    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`.

        Raises:
            UnusableImageError: This image cannot be read, or its bytes are not the ones that were written.
            InputError: The file or directory that holds the images has vanished.
        """


def single_labels(classes: Iterable[tuple[int, ...]]) -> np.ndarray | None:
    """Returns the labels of images with exactly one class each.

    Args:
        classes: All classes of each image.

    Returns:
        int64 `[n]`, or None if some image has no class or several.
    """
    listed = list(classes)
    if any(len(of_image) != 1 for of_image in listed):
        return None
    return np.array([label for (label,) in listed], np.int64)
