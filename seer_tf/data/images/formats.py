"""Format and size of an image file, read from its first bytes without decoding it.

Offsets come from the specifications of the formats. TensorFlow decodes JPEG, PNG, GIF, BMP, WebP and JPEG XL.
"""

import dataclasses
import struct
from collections.abc import Iterator

from seer_tf.data.images import jpeg_xl

JPEG_SIDE_LIMIT_PX = 1 << 16
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WebP", "JPEG XL")

_MAGICS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (jpeg_xl.CODESTREAM, "JPEG XL"),
    (jpeg_xl.CONTAINER, "JPEG XL"),
)
_JPEG_2000_STARTS = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
_UNSUPPORTED_MAGICS = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"IIRO", "RAW"),
    (b"IIU\x00", "RAW"),
    (b"FUJIFILMCCD-RAW", "RAW"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"%PDF", "PDF"),
    *((magic, "JPEG 2000") for magic in _JPEG_2000_STARTS),
)
WEBP_ANIMATION = 0x02
_METADATA_BYTES = 1 << 17
GIF_EXTENSION, GIF_FRAME = 0x21, 0x2C
BMP_MASKS = (0x00FF0000, 0x0000FF00, 0x000000FF)
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_SCAN = b"\xff\xda"
#: Markers without a length behind them: stuffed zeros, TEM, and the restarts.
_JPEG_BARE_MARKERS = frozenset((0x00, 0x01, *range(0xD0, 0xD8)))
_JPEG_LAST_MARKERS = frozenset((0xD8, 0xD9, 0xDA))
PNG_PACKED_TEXTS = frozenset((b"iCCP", b"iTXt", b"zTXt"))


@dataclasses.dataclass(frozen=True)
class Header:
    """Format and size of an encoded image, according to its header.

    Attributes:
        format: Name of the format, as from `image_format`.
        height_px: Height of the stored pixels, before the rotation in EXIF.
        width_px: Width of the stored pixels, before the rotation in EXIF.
        bytes_per_px: Bytes that the decoder holds for a pixel: four channels of one byte, or of two.
        frames_bytes: Bytes of all frames of an animation, which TensorFlow decodes although only the first is used.
    """

    format: str
    height_px: int
    width_px: int
    bytes_per_px: int = 4
    frames_bytes: int = 0

    @property
    def size(self) -> str:
        """Width and height in words."""
        return f"{self.width_px} x {self.height_px}"

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded image with four channels, and of the frames of an animation."""
        return self.bytes_per_px * self.height_px * self.width_px + self.frames_bytes


class UnusableImageError(ValueError):
    """An encoded image cannot be used; the message is the reason in a few words."""


class UnreadableImageError(UnusableImageError):
    """The bytes of an image cannot be read, so nothing is known about the image itself."""


def image_format(encoded: bytes) -> str:
    """Returns "JPEG", "PNG", "GIF", "BMP", "WebP" or "JPEG XL".

    Raises:
        UnusableImageError: The bytes are in none of these formats.
    """
    if not encoded:
        raise UnusableImageError("empty file")
    for magic, name in _MAGICS:
        if encoded.startswith(magic):
            return name
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WebP"
    for magic, name in _UNSUPPORTED_MAGICS:
        if encoded.startswith(magic):
            raise UnusableImageError(f"{name} is not a supported format")
    if encoded[4:8] == b"ftyp" or encoded.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba")):
        raise UnusableImageError("HEIC, AVIF and video files are not supported")
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"AVI ":
        raise UnusableImageError("HEIC, AVIF and video files are not supported")
    raise UnusableImageError("not an image")


def has_several_frames(encoded: bytes) -> bool:
    """Whether a GIF, PNG or JPEG is an animation or holds several pictures, of which the first counts."""
    if encoded.startswith(b"GIF8"):
        return len(list(_gif_frames(encoded))) > 1
    start = encoded[:_METADATA_BYTES]
    return b"acTL" in start if start.startswith(b"\x89PNG") else start.startswith(b"\xff\xd8") and b"MPF\0" in start


def is_16_bit_png(encoded: bytes) -> bool:
    """Whether an image is a PNG with 16 bits a channel; `encoded` may be the beginning of the file."""
    return encoded.startswith(b"\x89PNG") and encoded[24:25] == b"\x10"


def jpeg_2000_bits(encoded: bytes) -> int:
    """Returns the bits per channel that a JPEG 2000 states (ISO/IEC 15444-1, A.5.1); 0 for other formats."""
    place = encoded.find(_JPEG_2000_SIZE)
    is_whole = encoded.startswith(_JPEG_2000_STARTS) and 0 <= place < len(encoded) - 42
    return 1 + (encoded[place + 42] & 0x7F) if is_whole else 0


def read_header(encoded: bytes) -> Header:
    """Reads format and size. `encoded` may be the beginning of the file; that of a JPEG must reach its frame header.

    Raises:
        UnusableImageError: The format is not supported, the header is broken, or TensorFlow would decode it wrongly.
    """
    kind = image_format(encoded)
    try:
        height, width = _SIZE_READERS[kind](encoded)
    except (struct.error, IndexError):
        raise UnusableImageError(f"broken {kind} header") from None
    if height < 1 or width < 1:
        raise UnusableImageError(f"broken {kind} header")
    frames = _gif_frames(encoded) if kind == "GIF" else ()
    return Header(kind, height, width, 8 if is_16_bit_png(encoded) else 4, sum(h * w for h, w in frames))


def num_scans(encoded: bytes) -> int:
    """Returns the number of scans in a JPEG, with those of previews; 0 for other formats."""
    return encoded.count(JPEG_SCAN) if encoded.startswith(b"\xff\xd8") else 0


def num_packed_texts(encoded: bytes) -> int:
    """Returns the number of compressed texts and profiles in a PNG; 0 for other formats."""
    return sum(name in PNG_PACKED_TEXTS for name, _, _ in png_chunks(encoded)) if encoded.startswith(b"\x89PNG") else 0


def png_chunks(encoded: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the chunks of a PNG up to the end of the bytes: name, and where the data begin and end."""
    start = 16
    while len(name := encoded[start - 4 : start]) == 4:
        end = start + int.from_bytes(encoded[start - 8 : start - 4])
        yield name, start, end
        start = end + 12


def _jpeg_size(encoded: bytes) -> tuple[int, int]:
    """Follows the segments to the frame header, as libjpeg does (ITU-T T.81, annex B; `jdmarker.c`)."""
    place = 2
    while (place := encoded.find(b"\xff", place)) >= 0:  # Stray bytes between segments are allowed, as in decoders.
        marker = encoded[place + 1]
        if marker in _JPEG_FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", encoded, place + 5)
            return height, width
        if marker in _JPEG_LAST_MARKERS:
            break
        if marker == 0xFF:  # Any number of fill bytes 0xFF may come before a marker.
            place += 1
        elif marker in _JPEG_BARE_MARKERS:
            place += 2
        else:
            (length,) = struct.unpack_from(">H", encoded, place + 2)
            place += 2 + max(2, length)
    raise UnusableImageError("broken JPEG header")


def _png_size(encoded: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", encoded, 16)
    return height, width


def _gif_size(encoded: bytes) -> tuple[int, int]:
    """Returns the size of the largest frame, as TensorFlow decodes it, or that of the screen if no frame is there."""
    width, height = struct.unpack_from("<HH", encoded, 6)
    frames = list(_gif_frames(encoded)) or [(height, width)]
    return max(height for height, _ in frames), max(width for _, width in frames)


def _gif_frames(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Yields height and width of each readable frame of a GIF (GIF89a specification, section 11)."""
    try:
        place = 13 + _gif_palette_bytes(encoded[10])
        while encoded[place] in (GIF_EXTENSION, GIF_FRAME):
            if encoded[place] == GIF_FRAME:
                width, height = struct.unpack_from("<HH", encoded, place + 5)
                yield height, width
                place += 11 + _gif_palette_bytes(encoded[place + 9])
            else:
                place += 2
            while encoded[place]:  # Blocks of data follow, each behind its length; the last has length 0.
                place += 1 + encoded[place]
            place += 1
    except (struct.error, IndexError):
        return


def _gif_palette_bytes(flags: int) -> int:
    return 3 << (flags & 0x07) + 1 if flags & 0x80 else 0


def _bmp_size(encoded: bytes) -> tuple[int, int]:
    """Returns the size; refuses what TensorFlow decodes wrongly: palettes (as grey), compressed rows, odd channels."""
    header_bytes, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", encoded, 14)
    if header_bytes < 40 or bits not in (24, 32) or compression not in (0, 3):
        raise UnusableImageError("BMP with a palette or compression is not supported")
    if compression == 3 and struct.unpack_from("<III", encoded, 54) != BMP_MASKS:
        raise UnusableImageError("BMP with channels in another order is not supported")
    return abs(height), width


def _webp_size(encoded: bytes) -> tuple[int, int]:
    chunk = encoded[12:16]
    if chunk == b"VP8X":
        if encoded[20] & WEBP_ANIMATION:
            raise UnusableImageError("an animated WebP is not supported")
        low, high = struct.unpack_from("<HB", encoded, 24)
        width = 1 + low + (high << 16)
        low, high = struct.unpack_from("<HB", encoded, 27)
        return 1 + low + (high << 16), width
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", encoded, 21)
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    width, height = struct.unpack_from("<HH", encoded, 26)
    return height & 0x3FFF, width & 0x3FFF


def _jpeg_xl_size(encoded: bytes) -> tuple[int, int]:
    start = jpeg_xl.read_start(jpeg_xl.header_bits(encoded))
    if start.is_animated:
        raise UnusableImageError("an animated JPEG XL, or one with a preview, is not supported")
    return start.height, start.width


_SIZE_READERS = {
    "JPEG": _jpeg_size,
    "PNG": _png_size,
    "GIF": _gif_size,
    "BMP": _bmp_size,
    "WebP": _webp_size,
    "JPEG XL": _jpeg_xl_size,
}
