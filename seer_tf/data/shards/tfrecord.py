"""Single records of TFRecord files: their places, and their data.

The format (`tensorflow/core/lib/io/record_writer.h`): length, CRC of the length, data, CRC of the data.
"""

import os
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import google_crc32c
import numpy as np

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.errors import InputError
from seer_tf.files import storage

_LENGTH = struct.Struct("<Q")
_HEADER_BYTES = _LENGTH.size + 4
_CRC = struct.Struct("<I")
_FOOTER_BYTES = _CRC.size
_Length = TypeVar("_Length", int, np.ndarray)


def framed_bytes(length: _Length) -> _Length:
    """Returns the number of bytes that a record with `length` bytes of data takes in a file; of an array, for each."""
    return _HEADER_BYTES + length + _FOOTER_BYTES


class Framed(NamedTuple):
    """A record as it lies in a file.

    Attributes:
        path: File.
        offset: Place where the record begins.
        length: Number of bytes of its data.
        content: Bytes of the record; fewer if the file ends early.
    """

    path: str
    offset: int
    length: int
    content: bytes

    def data(self) -> bytes:
        """Returns the data of the record.

        Raises:
            UnusableImageError: No such record begins there, or its data differ from what was written.
        """
        data, footer = self.content[_HEADER_BYTES:-_FOOTER_BYTES], self.content[-_FOOTER_BYTES:]
        is_whole = len(self.content) == framed_bytes(self.length)
        if not (
            is_whole
            and _LENGTH.unpack_from(self.content) == (self.length,)
            and _CRC.unpack(footer) == (_masked_crc(data),)
        ):
            raise UnusableImageError(f"{self.path} is broken at byte {self.offset}")
        return data


def read_record(path: str | os.PathLike, offset: int, length: int) -> bytes:
    """Returns the data of the record at `offset` that holds `length` bytes.

    Raises:
        UnusableImageError: No such record begins there, or its data differ from what was written.
        InputError: The file cannot be read.
    """
    (record,) = read_neighbours(os.fspath(path), [(offset, length)])
    return record.data()


def read_neighbours(
    path: str, places: Sequence[tuple[int, int]], read: Callable[[str, int, int], bytes] = storage.read
) -> list[Framed]:
    """Reads records that follow each other in a file, at once.

    Args:
        path: File.
        places: Offset of each record, and the number of bytes of its data; at least one record.
        read: Reads a part of a file, as `storage.read`.

    Raises:
        InputError: The file cannot be read.
    """
    begin, (last, length) = places[0][0], places[-1]
    try:
        content = read(path, begin, last + framed_bytes(length) - begin)
    except OSError as error:
        raise _unreadable(path, error) from None
    return [
        Framed(path, offset, length, content[offset - begin : offset - begin + framed_bytes(length)])
        for offset, length in places
    ]


def find_records(path: str | os.PathLike) -> np.ndarray:
    """Returns offset and length of every record in a file, int64 `[records, 2]`; reads the lengths alone.

    Raises:
        InputError: The file cannot be read or ends within a record.
    """
    found, offset = [], 0
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while offset < size:
                file.seek(offset)
                (length,) = _LENGTH.unpack(file.read(_LENGTH.size).ljust(_LENGTH.size, b"\xff"))
                found.append((offset, length))
                offset += framed_bytes(length)
    except OSError as error:
        raise _unreadable(path, error) from None
    if offset != size:
        raise InputError(f"{path}: the shard is broken at byte {found[-1][0]}; prepare it again.")
    return np.array(found, np.int64).reshape(-1, 2)


def _masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of data, rotated and shifted as the format requires (tsl/lib/hash/crc32c.h)."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _unreadable(path: str | os.PathLike, error: OSError) -> InputError:
    return InputError(f"{path}: the shard cannot be read ({error.strerror}); put it back or prepare it again.")
