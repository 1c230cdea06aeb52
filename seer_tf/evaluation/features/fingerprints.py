"""Fingerprints of image files, which show whether two sets share images. They are taken while files are read."""

import hashlib
from collections.abc import Callable

import numpy as np
from absl import logging

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.overlap import find_shared_images
from seer_tf.data.sources.view import View
from seer_tf.errors import InputError
from seer_tf.parallel import in_order, num_cores
from seer_tf.progress import Progress
from seer_tf.quantities import counted

_BYTES = 8


class FingerprintedSource(View):
    """A source that remembers a fingerprint of every image that was read from it.

    Attributes:
        fingerprints: Uint64 [num_images], zero for images that have not been read yet.
    """

    def __init__(self, source: Source) -> None:
        """Wraps a source."""
        super().__init__(source)
        self.fingerprints = np.zeros(source.num_images, np.uint64)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        encoded = super().read(index)
        self.fingerprints[index] = fingerprint(encoded)
        return encoded


def fingerprints(read: Callable[[int], bytes], num_images: int) -> np.ndarray:
    """Reads every file of a set once, and returns the fingerprints, uint64 [num_images]; 0 of a file that is damaged.

    Args:
        read: Function that returns the bytes of the file with a number; called in several threads.
        num_images: Number of files.
    """
    found = np.zeros(num_images, np.uint64)

    def of_number(number: int) -> np.uint64:
        try:
            return fingerprint(read(number))
        except UnusableImageError:
            return np.uint64(0)

    with Progress(num_images, "image", "looking for shared files") as progress:
        of_files = in_order(of_number, range(num_images), num_cores())
        for number, value in enumerate(of_files):
            found[number] = value
            progress.advance()
    return found


def fingerprint(encoded: bytes) -> np.uint64:
    """Returns a hash of a file, which two different files share with a probability of 2 ** -64."""
    return np.frombuffer(hashlib.blake2b(encoded, digest_size=_BYTES).digest(), np.uint64)[0]


def check_other_images(train: Source, test: Source) -> None:
    """Raises an error if a test set surely has no file of its own; for a check before anything expensive.

    Reads all test images and at most 10,000 training images; `unshared` finds all that are shared.

    Raises:
        InputError: Every test image is among the training images.
    """
    shared = find_shared_images(test, train)
    if len(shared) == test.num_images:
        raise _nothing_left(len(shared))


def unshared(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the test images that are no files of the training set; the log counts the others.

    Args:
        train: Fingerprints of the training images, uint64 [N].
        test: Fingerprints of the test images, uint64 [M].

    Returns:
        Numbers of test images in rising order, int64 [m].

    Raises:
        InputError: All test images are files of the training set.
    """
    kept = np.flatnonzero(~np.isin(test, train))
    if not len(kept):
        raise _nothing_left(len(test))
    if len(kept) < len(test):
        logging.warning(
            "%d of %s are files of the training data too and are left out of the test data",
            len(test) - len(kept),
            counted(len(test), "test image"),
        )
    return kept


def _nothing_left(num_images: int) -> InputError:
    return InputError(
        f"all of the {counted(num_images, 'test image')} are files of the training data too, so the number would say "
        "nothing about new images; give others as one of the two"
    )
