"""Size of a JPEG XL file, and whether it is animated (ISO/IEC 18181-1, annexes A and D; 18181-2 for boxes).

TensorFlow decodes JPEG XL, but has no operation that reads the size alone.
"""

import struct
from typing import NamedTuple

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL "
SIZE_BITS = (9, 13, 18, 30)
#: Width over height for each value of the three bits of the ratio; 0 means that the width follows.
RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER_BYTES = 2048  # A channel beyond colour and alpha may have a name of 1071 bytes; most headers have 20 bytes.


class Bits:
    """Reads numbers from bytes, least significant bit first."""

    def __init__(self, data: bytes) -> None:
        """Takes the bytes."""
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """Returns the next number, of `count` bits.

        Raises:
            IndexError: Fewer bits are left.
        """
        self._left -= count
        if self._left < 0:
            raise IndexError("the header ends early")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


class Start(NamedTuple):
    """The beginning of a header.

    Attributes:
        height: Height of the decoded image in px.
        width: Width of the decoded image in px.
        is_animated: Whether the file is animated or holds a preview.
        all_default: Whether all other fields have their defaults.
    """

    height: int
    width: int
    is_animated: bool
    all_default: bool


def read_start(bits: Bits) -> Start:
    """Reads the beginning of a header; the fields about samples and colours follow in an image without animation.

    Raises:
        IndexError: The header ends early.
    """
    height, width = _size(bits)
    all_default = bool(bits.take(1))
    if all_default or not bits.take(1):
        return Start(height, width, False, all_default)
    turned = bits.take(3) >= 4
    if bits.take(1):
        _size(bits)
    preview, animation = bits.take(1), bits.take(1)
    sides = (width, height) if turned else (height, width)
    return Start(*sides, bool(preview or animation), False)


def is_one(encoded: bytes) -> bool:
    """Whether a file is a JPEG XL, by its first bytes."""
    return encoded.startswith((CODESTREAM, CONTAINER))


def header_bits(encoded: bytes) -> Bits:
    """Returns the bits of the header of a JPEG XL.

    Raises:
        IndexError, struct.error: No codestream follows.
    """
    start = len(CODESTREAM)
    return Bits(_codestream(encoded)[start : start + _HEADER_BYTES])


def _codestream(encoded: bytes) -> bytes:
    """Returns the codestream or its first part; in a container it lies in a `jxlc` or `jxlp` box."""
    if encoded.startswith(CODESTREAM):
        return encoded
    place = 0
    while True:
        length, kind = struct.unpack_from(">I4s", encoded, place)
        header = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", encoded, place + 8)
            header = 16
        if kind in (b"jxlc", b"jxlp"):
            return encoded[place + header + (4 if kind == b"jxlp" else 0) :]
        if length < header:
            raise IndexError("no codestream follows")
        place += length


def _size(bits: Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = _side(bits, small)
    ratio = RATIOS[bits.take(3)]
    width = _side(bits, small) if ratio is None else height * ratio[0] // ratio[1]
    return height, width


def _side(bits: Bits, small: int) -> int:
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take(SIZE_BITS[bits.take(2)])
