"""Finds images that two sources have in common, by the content of the files."""

import hashlib
from collections.abc import Iterable

import numpy as np

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.parallel import in_order, num_cores
from seer_tf.progress import Progress

_MAX_COMPARED = 10_000


def find_shared_images(one: Source, other: Source) -> dict[int, str]:
    """Looks for images that are byte for byte the same in two sources.

    Args:
        one: First source; all of its images are compared.
        other: Second source; at most 10,000 of its images are compared, evenly spaced.

    Returns:
        Numbers of the shared images in the first source, each with its name in the second.
    """
    numbers = np.linspace(0, other.num_images - 1, min(_MAX_COMPARED, other.num_images)).astype(int).tolist()
    names = {digest: other.ids[number] for number, digest in zip(numbers, _digests(other, numbers), strict=True)}
    digests = _digests(one, range(one.num_images))
    return {number: names[digest] for number, digest in enumerate(digests) if digest is not None and digest in names}


def _digests(source: Source, numbers: Iterable[int]) -> list[bytes | None]:
    """Returns a digest of each image with one of the numbers; None for an image that cannot be read."""
    chosen = list(numbers)

    def digest(number: int) -> bytes | None:
        try:
            return hashlib.blake2b(source.read(number), digest_size=16).digest()
        except (InputError, UnusableImageError, OSError):
            return None

    digests = []
    with Progress(len(chosen), "image", "looking for shared images") as progress:
        for value in in_order(digest, chosen, num_cores()):
            digests.append(value)
            progress.advance()
    return digests
