"""Which images two sets share: a fingerprint of each file, taken when it is read anyway."""

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
        fingerprints: Uint64 [num_images], zero where an image was not read yet.
    """

    def __init__(self, source: Source) -> None:
        """Wraps `source`."""
        super().__init__(source)
        self.fingerprints = np.zeros(source.num_images, np.uint64)

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        encoded = super().read(index)
        self.fingerprints[index] = fingerprint(encoded)
        return encoded


def fingerprints(source: Source) -> np.ndarray:
    """Returns the fingerprints of all images of a source, uint64 [num_images]; reads every file once."""
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
    """Returns a number that two different files share by a chance of one in 2 ** 64."""
    return np.frombuffer(hashlib.blake2b(encoded, digest_size=_BYTES).digest(), np.uint64)[0]


def check_other_images(train: Source, test: Source) -> None:
    """Raises an error if a test set surely has files of the training set; for a check before anything expensive.

    Reads all test images and at most 10,000 training images; `check_disjoint` tells all that are shared.

    Raises:
        InputError: naming one of them.
    """
    shared = find_shared_image(test, train)
    if shared is not None:
        raise InputError(
            f"the test image {shared[0]} is {shared[1]} of the training data, too, so the number would say nothing "
            "about new images; take what both have out of one of the two"
        )


def check_disjoint(train: np.ndarray, test: np.ndarray) -> None:
    """Raises an error if a test set has files of the training set.

    Args:
        train: Fingerprints of the training images, uint64 [N].
        test: Fingerprints of the test images, uint64 [M].

    Raises:
        InputError: saying how many.
    """
    num_shared = int(np.isin(test, train).sum())
    if num_shared:
        raise InputError(
            f"{num_shared} of the {len(test)} test images are files of the training data too, so the number would say "
            "nothing about new images; take them out of one of the two"
        )
