"""Whether two sources have images in common, by what is in the files."""

import concurrent.futures
import hashlib

import numpy as np

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.parallel import num_cores
from seer_tf.progress import Progress

_MAX_COMPARED = 10_000


def shared_image(one: Source, other: Source) -> tuple[str, str] | None:
    """Looks for an image that is byte for byte the same in two sources.

    Args:
        one: all of its images are compared.
        other: of its images 10,000 at even distances are.

    Returns:
        The names of such an image in both, or None where none was found.
    """
    names = dict(zip(_digests(one, range(one.num_images)), one.ids, strict=True))
    numbers = np.linspace(0, other.num_images - 1, min(_MAX_COMPARED, other.num_images)).astype(int)
    for number, digest in zip(numbers, _digests(other, numbers), strict=True):
        if digest is not None and digest in names:
            return names[digest], other.ids[number]
    return None


def _digests(source: Source, numbers: range | np.ndarray) -> list[bytes | None]:
    """Returns a digest of each of these images, None of one that cannot be read."""

    def digest(number: int) -> bytes | None:
        try:
            return hashlib.blake2b(source.read(int(number)), digest_size=16).digest()
        except (InputError, UnusableImageError, OSError):
            return None

    with (
        concurrent.futures.ThreadPoolExecutor(num_cores()) as pool,
        Progress(len(numbers), "image", "comparing probe and training images") as progress,
    ):
        digests = []
        for value in pool.map(digest, numbers):
            digests.append(value)
            progress.advance()
    return digests
