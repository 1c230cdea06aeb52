"""The index of shards, int64 `[images, 3]`: offset of each record in its shard, length of its data, label.

Labels stand nowhere else where they can be read at once, so the manifest has a checksum of the file.
"""

import io
import tokenize
from collections.abc import Sequence

import google_crc32c
import numpy as np

from seer_tf.data.shards import tfrecord
from seer_tf.errors import InputError
from seer_tf.files import storage

#: Values in the column of labels for an image without a class, and for one with several, which its record holds.
NO_LABEL, SEVERAL_LABELS = -1, -2
_CHUNK_BYTES = 1 << 24
#: What NumPy raises on a damaged file.
ARRAY_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    MemoryError,
    tokenize.TokenError,
)


def write(path: str, index: np.ndarray) -> int:
    """Writes an index, int64 `[images, 3]`, and returns the CRC-32C of the file."""
    file = io.BytesIO()
    np.save(file, index)
    storage.write(path, file.getvalue())
    return google_crc32c.value(file.getvalue())


def read(path: str, crc32c: int | None) -> np.ndarray:
    """Returns the index in a file, int64 `[images, 3]`; a file on this machine is mapped.

    Args:
        path: File to read.
        crc32c: What `write` returned; None if it is unknown.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        if crc32c not in (None, _crc32c(path)):
            raise ValueError
        index = np.load(io.BytesIO(storage.read(path))) if storage.is_remote(path) else np.load(path, mmap_mode="r")
        if index.dtype != np.int64 or index.ndim != 2 or index.shape[1] != 3:
            raise ValueError
        return index
    except ARRAY_DAMAGE:
        raise _broken(path) from None


def check(path: str, index: np.ndarray, shards: Sequence[tuple[int, int]], num_classes: int) -> None:
    """Compares an index with shards: in each of them, record follows record from the first byte to the last.

    Args:
        path: File of the index, for the message.
        index: Index, int64 `[images, 3]`.
        shards: Number of images and of bytes of each shard.
        num_classes: Number of classes.

    Raises:
        InputError: The index is not one of these shards.
    """
    first = 0
    for num_images, num_bytes in shards:
        offsets, lengths, labels = np.array(index[first : first + num_images]).T
        first += num_images
        begins, ends = np.append(offsets, num_bytes), np.append(0, offsets + tfrecord.framed_bytes(lengths))
        known = (SEVERAL_LABELS <= labels) & (labels < num_classes)
        if not (np.array_equal(begins, ends) and known.all() and (lengths >= 0).all()):
            raise _broken(path)


def _crc32c(path: str) -> int:
    found = 0
    for offset in range(0, storage.size(path), _CHUNK_BYTES):
        found = google_crc32c.extend(found, storage.read(path, offset, _CHUNK_BYTES))
    return found


def _broken(path: str) -> InputError:
    return InputError(f"{path}: the index is missing or broken; prepare the shards again.")
