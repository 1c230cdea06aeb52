"""Small images that are not what they seem; each must get the same answer at every door."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    """Returns a coarse picture."""
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (4, 5, 4), np.uint8), "RGBA")
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns the bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_of_scans(num_scans: int, side_px: int = 64) -> bytes:
    """Returns a progressive JPEG; each scan but the first visits all blocks and holds a few bytes."""

    def segment(marker: int, data: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data

    num_blocks = (side_px // 8) ** 2
    levels = segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0")
    runs = segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\0")
    first = segment(0xDA, b"\1\1\0\0\0\0") + bytes(num_blocks // 8)
    # One run of more blocks than there are, as long as the next bits say.
    others = segment(0xDA, b"\1\1\0\1\x3f\0") + b"\x7f\xff\0"
    frame = segment(0xC2, struct.pack(">BHHB", 8, side_px, side_px, 1) + b"\1\x11\0")
    table = segment(0xDB, b"\0" + b"\x10" * 64)
    return b"\xff\xd8" + table + frame + levels + runs + first + others * (num_scans - 1) + b"\xff\xd9"


def jpeg_with_a_false_frame() -> bytes:
    """Returns a JPEG of 40 x 30 px. A reader that takes its restart marker for a segment finds 3000 x 3000."""
    text = bytearray(b" " * 65533)
    false_frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 3000, 3000, 3)
    text[0xFFE1 - 4 : 0xFFE1 - 4 + len(false_frame)] = false_frame
    return b"\xff\xd8\xff\xd0\xff\xe1\xff\xff" + bytes(text) + encoded(picture(), "JPEG")[2:]


def png_with_texts(num_texts: int) -> bytes:
    """Returns a PNG with compressed texts."""
    whole, data = encoded(picture(), "PNG"), b"key\0\0" + zlib.compress(bytes(1000))
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return whole[:33] + chunk * num_texts + whole[33:]


def png_of_size(width: int, height: int, bits: int = 8) -> bytes:
    """Returns a PNG whose header says another size, or RGBA with 16 bits."""
    header = struct.pack(">IIBBBBB", width, height, bits, 6 if bits == 16 else 2, 0, 0, 0)
    whole = encoded(picture(), "PNG")
    return whole[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + whole[33:]


def gif_of_a_large_frame() -> bytes:
    """Returns a GIF whose frame says 65535 x 65535 px."""
    whole = bytearray(encoded(picture("P"), "GIF"))
    place = whole.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 40, 30))
    whole[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    return bytes(whole)


#: Name, bytes, and a part of the reason.
REFUSED = {
    "scans.jpg": (jpeg_of_scans(65), "65 scans are more than 64 scans in a JPEG"),
    "texts.png": (png_with_texts(17), "17 packed texts are more than 16 packed texts in a PNG"),
    "large.png": (png_of_size(13_000, 13_000), "13000 x 13000 pixels are more than 300 MB decoded"),
    "deep.png": (png_of_size(7_000, 7_000, bits=16), "7000 x 7000 pixels are more than 300 MB decoded"),
    "frame.gif": (gif_of_a_large_frame(), "65535 x 65535 pixels are more than 300 MB decoded"),
    "cut.jpg": (encoded(picture(), "JPEG")[:-200], "does not decode"),
    "zero.png": (png_of_size(0, 5), "broken PNG header"),
    "text.jpg": (b"hello", "not an image"),
    "empty.jpg": (b"", "empty file"),
}
#: Refused, but converted for shards.
CONVERTED = {"palette.bmp": (encoded(picture("P"), "BMP"), "BMP with a palette or compression is not supported")}
ACCEPTED = {
    "scans.jpg": jpeg_of_scans(64),
    "false_frame.jpg": jpeg_with_a_false_frame(),
    "texts.png": png_with_texts(16),
    "plain.jpg": encoded(picture(), "JPEG"),
    "plain.png": encoded(picture(), "PNG"),
    "alpha.webp": encoded(picture("RGBA"), "WEBP"),
    "plain.bmp": encoded(picture(), "BMP"),
    "frames.gif": encoded(picture("P"), "GIF", save_all=True, append_images=[picture("P", (60, 20))]),
}
