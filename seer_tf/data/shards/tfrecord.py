"""Single records of TFRecord files: their places, and their data.

The format (`tensorflow/core/lib/io/record_writer.h`): length, CRC of the length, data, CRC of the data.
"""

import os
import struct

import google_crc32c
import numpy as np

from seer_tf.data.images.formats import UnusableImageError
from seer_tf.errors import InputError
from seer_tf.files import storage

_LENGTH = struct.Struct("<Q")
_HEADER_BYTES = _LENGTH.size + 4
_CRC = struct.Struct("<I")
_FOOTER_BYTES = _CRC.size


def framed_bytes(length: int) -> int:
    """Returns the number of bytes that a record with `length` bytes of data takes in a file."""
    return _HEADER_BYTES + length + _FOOTER_BYTES


def read_record(path: str | os.PathLike, offset: int, length: int) -> bytes:
    """Returns the data of the record at `offset` that holds `length` bytes.

    Raises:
        UnusableImageError: No such record begins there, or its data differ from what was written.
        InputError: The file cannot be read.
    """
    try:
        record = storage.read(path, offset, framed_bytes(length))
    except OSError as error:
        raise _unreadable(path, error) from None
    data, footer = record[_HEADER_BYTES:-_FOOTER_BYTES], record[-_FOOTER_BYTES:]
    whole = len(record) == framed_bytes(length) and _LENGTH.unpack_from(record) == (length,)
    if not whole or _CRC.unpack(footer) != (_masked_crc(data),):
        raise UnusableImageError(f"{path} is broken at byte {offset}")
    return data


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
