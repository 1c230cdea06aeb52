"""Fingerprints of image files, which show whether two sets share images. They are taken while files are read."""

import concurrent.futures
import hashlib

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.overlap import find_shared_image
from seer_tf.data.sources.view import View
from seer_tf.errors import InputError
from seer_tf.parallel import num_cores
from seer_tf.progress import Progress

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


def fingerprints(source: Source) -> np.ndarray:
    """Reads every file of a source once, and returns the fingerprints, uint64 [num_images]."""
    with (
        concurrent.futures.ThreadPoolExecutor(num_cores()) as pool,
        Progress(source.num_images, "image", "looking for shared files") as progress,
    ):
        found = np.zeros(source.num_images, np.uint64)
        for number, encoded in enumerate(pool.map(source.read, range(source.num_images))):
            found[number] = fingerprint(encoded)
            progress.advance()
    return found


def fingerprint(encoded: bytes) -> np.uint64:
    """Returns a hash of a file, which two different files share with a probability of 2 ** -64."""
    return np.frombuffer(hashlib.blake2b(encoded, digest_size=_BYTES).digest(), np.uint64)[0]


def check_other_images(train: Source, test: Source) -> None:
    """Raises an error if a test set is found to share files with the training set; meant as an early check.

    Reads all test images and at most 10,000 training images. `check_disjoint` finds all shared files.

    Raises:
        InputError: The sets share a file. The message names it.
    """
    shared = find_shared_image(test, train)
    if shared is not None:
        raise InputError(
            f"the test image {shared[0]} is also {shared[1]} in the training data, so the number would say nothing "
            "about new images; remove the shared images from one of the two"
        )


def check_disjoint(train: np.ndarray, test: np.ndarray) -> None:
    """Raises an error if a test set shares files with the training set.

    Args:
        train: Fingerprints of the training images, uint64 [N].
        test: Fingerprints of the test images, uint64 [M].

    Raises:
        InputError: The sets share files. The message says how many.
    """
    num_shared = int(np.isin(test, train).sum())
    if num_shared:
        raise InputError(
            f"{num_shared} of the {len(test)} test images are also in the training data, so the number would say "
            "nothing about new images; remove the shared images from one of the two"
        )
