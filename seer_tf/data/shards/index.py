"""The index of shards, int64 `[images, 3]`: offset of each record in its shard, length of its data, label.

Labels stand nowhere else where they can be read at once, so the manifest has a checksum of the file.
"""

import bisect
import functools
import io
import itertools
import tokenize
from collections.abc import Iterator, Sequence

import google_crc32c
import numpy as np

from seer_tf.data.shards import tfrecord
from seer_tf.errors import InputError
from seer_tf.files import storage

#: Values in the column of labels for an image without a class, and for one with several, which its record holds.
NO_LABEL, SEVERAL_LABELS = -1, -2
_COLUMNS = 3
_CHUNK_BYTES = 1 << 24
_HEADER_BYTES = 4096
#: An index up to this size, of 2.8 million images, is read whole when it is opened.
_SMALL_BYTES = 1 << 26
_PAGE_ROWS, _NUM_PAGES = 1024, 1024
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


class Index:
    """The rows of an index, of which only those in use are in memory.

    A file on this machine is mapped. Of one behind a URL, pages are read when they are needed, and some are kept.
    Offsets and lengths need no checksum, since each record has its own. Labels count after the checksum was compared.
    """

    def __init__(self, path: str, crc32c: int | None) -> None:
        """Opens an index, and compares the checksum of one that is small.

        Args:
            path: File to read.
            crc32c: What `write` returned; None if it is unknown.

        Raises:
            InputError: The file is missing or damaged.
        """
        self._path, self._crc32c = path, crc32c
        self._page = functools.lru_cache(_NUM_PAGES)(self._read)
        try:
            if storage.size(path) <= _SMALL_BYTES:
                self._check_whole()
            self._mapped = None if storage.is_remote(path) else np.load(path, mmap_mode="r")
            shape, dtype, self._begin = _header(path)
            if dtype != np.int64 or len(shape) != 2 or shape[1] != _COLUMNS:
                raise ValueError
        except ARRAY_DAMAGE:
            raise _broken(path) from None
        self._num_images = shape[0]

    def __len__(self) -> int:
        """Returns the number of images."""
        return self._num_images

    def rows(self, first: int, end: int) -> np.ndarray:
        """Returns the rows of images `first` to `end`, without `end`: int64 `[end - first, 3]`.

        Raises:
            InputError: The file cannot be read any more.
        """
        if self._mapped is not None:
            return self._mapped[first:end]
        page = first // _PAGE_ROWS
        if end > (page + 1) * _PAGE_ROWS:
            return self._read(first, end)
        begin = page * _PAGE_ROWS
        return self._page(begin, min(begin + _PAGE_ROWS, len(self)))[first - begin : end - begin]

    def labels(self, first: int, end: int) -> np.ndarray:
        """Returns the labels of images `first` to `end`, without `end`: int64 `[end - first]`.

        Raises:
            InputError: The file is damaged, or cannot be read any more.
        """
        self._check_whole()
        return np.array(self.rows(first, end)[:, 2])

    def _read(self, first: int, end: int) -> np.ndarray:
        row_bytes = _COLUMNS * np.dtype(np.int64).itemsize
        try:
            content = storage.read(self._path, self._begin + first * row_bytes, (end - first) * row_bytes)
            return np.frombuffer(content, np.int64).reshape(end - first, _COLUMNS)
        except ARRAY_DAMAGE:
            raise _broken(self._path) from None

    def _check_whole(self) -> None:
        """Compares the checksum of the file, once."""
        if self._crc32c not in (None, _crc32c(self._path)):
            raise _broken(self._path)
        self._crc32c = None


class JoinedIndex:
    """The rows of several indexes, one after another."""

    def __init__(self, parts: Sequence[Index]) -> None:
        """Joins indexes."""
        self._parts = parts
        self._starts = list(itertools.accumulate(map(len, parts), initial=0))

    def __len__(self) -> int:
        """Returns the number of images."""
        return self._starts[-1]

    def rows(self, first: int, end: int) -> np.ndarray:
        """Returns rows as `Index.rows` does."""
        return np.concatenate([part.rows(*places) for part, *places in self._within(first, end)])

    def labels(self, first: int, end: int) -> np.ndarray:
        """Returns labels as `Index.labels` does."""
        return np.concatenate([part.labels(*places) for part, *places in self._within(first, end)])

    def _within(self, first: int, end: int) -> Iterator[tuple[Index, int, int]]:
        """Yields each index that has some of the images, and which of its own images they are."""
        number = bisect.bisect_right(self._starts, first) - 1
        while first < end:
            start, stop = self._starts[number : number + 2]
            if first < stop:
                yield self._parts[number], first - start, min(end, stop) - start
            first, number = max(first, stop), number + 1


def check_neighbours(path: str, rows: np.ndarray, num_bytes: int) -> None:
    """Checks that records follow each other in a shard.

    Args:
        path: File of the index, for the message.
        rows: Rows of the records, int64 `[n, 3]`.
        num_bytes: Size of the shard.

    Raises:
        InputError: They do not.
    """
    offsets, lengths = rows[:, 0], rows[:, 1]
    ends = offsets + tfrecord.framed_bytes(lengths)
    if (lengths < 0).any() or offsets[0] < 0 or ends[-1] > num_bytes or (offsets[1:] != ends[:-1]).any():
        raise _broken(path)


def check(path: str, index: Index, shards: Sequence[tuple[int, int]], num_classes: int) -> None:
    """Compares an index with shards: in each of them, record follows record from the first byte to the last.

    Args:
        path: File of the index, for the message.
        index: Index of the shards.
        shards: Number of images and of bytes of each shard.
        num_classes: Number of classes.

    Raises:
        InputError: The index is not one of these shards.
    """
    first = 0
    for num_images, num_bytes in shards:
        offsets, lengths, labels = np.array(index.rows(first, first + num_images)).T
        first += num_images
        begins, ends = np.append(offsets, num_bytes), np.append(0, offsets + tfrecord.framed_bytes(lengths))
        known = (SEVERAL_LABELS <= labels) & (labels < num_classes)
        if not (np.array_equal(begins, ends) and known.all() and (lengths >= 0).all()):
            raise _broken(path)


def _header(path: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Returns shape and dtype of the array in a .npy file, and where its values begin."""
    head = io.BytesIO(storage.read(path, 0, _HEADER_BYTES))
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(head)
    if is_fortran or storage.size(path) != head.tell() + int(np.prod(shape)) * dtype.itemsize:
        raise ValueError
    return shape, dtype, head.tell()


def _crc32c(path: str) -> int:
    found = 0
    for offset in range(0, storage.size(path), _CHUNK_BYTES):
        found = google_crc32c.extend(found, storage.read(path, offset, _CHUNK_BYTES))
    return found


def _broken(path: str) -> InputError:
    return InputError(f"{path}: the index is missing or broken; prepare the shards again.")
