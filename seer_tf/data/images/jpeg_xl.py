"""Size of a JPEG XL file, and whether it is animated (ISO/IEC 18181-1, annexes A and D; 18181-2 for boxes).

TensorFlow decodes JPEG XL, but has no operation that reads the size alone.
"""

import struct

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\x00\x00\x00\x0cJXL "
SIZE_BITS = (9, 13, 18, 30)
#: Width over height for each value of the three bits of the ratio; 0 means that the width follows.
RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER_BYTES = 32


class _Bits:
    """Reads numbers from bytes, least significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise IndexError("the header ends early")
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken


def read_size(encoded: bytes) -> tuple[int, int, bool]:
    """Returns height and width of the decoded image in px, and whether the file is animated or holds a preview.

    Raises:
        IndexError, struct.error: The header ends early.
    """
    start = len(CODESTREAM)
    bits = _Bits(_codestream(encoded)[start : start + _HEADER_BYTES])
    height, width = _size(bits)
    if bits.take(1) or not bits.take(1):  # All fields have their defaults, or all later ones have.
        return height, width, False
    turned = bits.take(3) >= 4
    if bits.take(1):
        _size(bits)
    preview, animation = bits.take(1), bits.take(1)
    return (width, height, bool(preview or animation)) if turned else (height, width, bool(preview or animation))


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


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = _side(bits, small)
    ratio = RATIOS[bits.take(3)]
    width = _side(bits, small) if ratio is None else height * ratio[0] // ratio[1]
    return height, width


def _side(bits: _Bits, small: int) -> int:
    return 8 * (1 + bits.take(5)) if small else 1 + bits.take(SIZE_BITS[bits.take(2)])
