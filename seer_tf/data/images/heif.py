"""The boxes of a HEIC or AVIF: its parts, counted before it is decoded, and the numbers of its colours.

ISO/IEC 14496-12 describes boxes and colours, 23008-12 items.
"""

import struct
from collections.abc import Iterator

from seer_tf.data.images import coded_colour, limits
from seer_tf.data.images.formats import UnusableImageError

_OVERLAY = b"iovl"


def check_parts(encoded: bytes) -> None:
    """Raises an `UnusableImageError` if an image is made of too many parts, or drawn over each other.

    A grid draws each part once, so that its pixels bound the cost; an overlay may draw a large image again and again.
    Other formats, and files that end within their boxes, pass; the decoder refuses the latter.
    """
    if encoded[4:8] != b"ftyp":
        return
    number = 0
    for start, end in _inside(encoded, 0, len(encoded), b"meta"):
        for first, last in _inside(encoded, start + 4, end, b"iref"):
            number += _num_references(encoded, first, last)
        for first, last in _inside(encoded, start + 4, end, b"iinf"):
            number += _num_items(encoded, first, last)
    if number > limits.HEIF_PARTS.largest:
        raise UnusableImageError(limits.HEIF_PARTS.refused(number))


def coded_profile(encoded: bytes) -> bytes | None:
    """Returns the profile that the numbers of a HEIC or AVIF stand for; None without them, or for other formats."""
    if encoded[4:8] != b"ftyp":
        return None
    for start, end in _properties(encoded):
        if encoded[start : start + 4] == b"nclx" and end >= start + 8:
            return coded_colour.profile(*struct.unpack_from(">HH", encoded, start + 4))
    return None


def _properties(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Yields where the descriptions of colours begin and end."""
    for start, end in _inside(encoded, 0, len(encoded), b"meta"):
        for first, last in _inside(encoded, start + 4, end, b"iprp"):
            for one, until in _inside(encoded, first, last, b"ipco"):
                yield from _inside(encoded, one, until, b"colr")


def _boxes(encoded: bytes, place: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields the boxes between two places: name, and where the content begins and ends."""
    while place + 8 <= end:
        length, name = struct.unpack_from(">I4s", encoded, place)
        header = 8
        if length == 1 and place + 16 <= end:
            (length,) = struct.unpack_from(">Q", encoded, place + 8)
            header = 16
        until = end if length == 0 else place + length
        if length != 0 and length < header or until > end:
            return
        yield name, place + header, until
        place = until


def _inside(encoded: bytes, place: int, end: int, wanted: bytes) -> Iterator[tuple[int, int]]:
    for name, start, until in _boxes(encoded, place, end):
        if name == wanted:
            yield start, until


def _num_references(encoded: bytes, start: int, end: int) -> int:
    """Returns how many parts the images are made of; behind each number of an image stands that of its parts."""
    id_bytes = 4 if encoded[start : start + 1] > b"\0" else 2
    places = [
        first + id_bytes for first, last in _inside(encoded, start + 4, end, b"dimg") if first + id_bytes + 2 <= last
    ]
    return sum(struct.unpack_from(">H", encoded, place)[0] for place in places)


def _num_items(encoded: bytes, start: int, end: int) -> int:
    """Returns the number of images and other items.

    Raises:
        UnusableImageError: One is an overlay.
    """
    first = start + (8 if encoded[start : start + 1] > b"\0" else 6)
    items = [encoded[at:until] for at, until in _inside(encoded, first, end, b"infe")]
    # Behind version and flags stand the number of the item, of 2 bytes or 4, that of its protection, and its type.
    if any(_OVERLAY in (item[8:12], item[10:14]) for item in items):
        raise UnusableImageError("HEIC and AVIF with overlays are not supported")
    return len(items)
