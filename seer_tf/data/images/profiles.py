"""Colour profiles (ICC) that image files carry, and the way to sRGB by littleCMS through Pillow.

TensorFlow ignores profiles, so `prepare_shards` converts (`conversion.py`), and other sources count (`image_files.py`).
Places in files are those of the specifications: ICC.1, annex B; PNG, 11.3.2; the WebP container.
"""

import functools
import io
import re
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from seer_tf.data.images import jpeg_xl, jpeg_xl_colour, limits, png_colour

_JPEG_MARK = b"ICC_PROFILE\0"
#: Profiles that move no colour further are those of sRGB, rounded in one of many ways.
_SAME_LEVELS = 2
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def embedded(encoded: bytes) -> bytes | None:
    """Returns the profile in a JPEG, PNG, WebP or JPEG XL, or the one that numbers in it stand for, or None.

    Args:
        encoded: The file or its beginning; a profile that reaches beyond it does not count.
    """
    try:
        if encoded.startswith(b"\xff\xd8"):
            return _in_jpeg(encoded)
        if encoded.startswith(b"\x89PNG"):
            return png_colour.coded_profile(encoded) or _in_png(encoded) or png_colour.profile(encoded)
        if encoded[:4] == b"RIFF" and encoded[12:16] == b"VP8X":
            return _chunk(encoded, b"ICCP", "<I", size_first=False)
        if jpeg_xl.is_one(encoded):
            return jpeg_xl_colour.profile(encoded)
    except (struct.error, zlib.error, IndexError, ValueError):
        pass
    return None


def unread(encoded: bytes) -> str | None:
    """Returns what is known of a profile that only a plugin unpacks; None without one. For files without `embedded`."""
    try:
        return jpeg_xl_colour.PACKED if jpeg_xl_colour.has_packed_profile(encoded) else None
    except (struct.error, IndexError):
        return None


def _in_jpeg(encoded: bytes) -> bytes | None:
    """Joins the parts of a profile, each in a segment: mark, number, number of parts, data."""
    parts = {}
    for found in re.finditer(re.escape(_JPEG_MARK), encoded):
        (length,) = struct.unpack_from(">H", encoded, found.start() - 2)
        end = found.start() - 2 + length
        number, total = encoded[found.end()], encoded[found.end() + 1]
        if end <= len(encoded) and number not in parts:
            parts[number] = encoded[found.end() + 2 : end]
        if len(parts) == total:
            return b"".join(parts[key] for key in sorted(parts))
    return None


def _in_png(encoded: bytes) -> bytes | None:
    """Unpacks the chunk: a name, a zero, the method of compression, data; None for a profile that is too long."""
    chunk = _chunk(encoded, b"iCCP", ">I", size_first=True)
    if chunk is None:
        return None
    unpacking = zlib.decompressobj()
    profile = unpacking.decompress(chunk[chunk.index(0) + 2 :], limits.PROFILE_BYTES.largest)
    return profile if unpacking.eof else None


def _chunk(encoded: bytes, name: bytes, size_format: str, *, size_first: bool) -> bytes | None:
    """Returns the data of a named chunk, whose size stands before or after its name."""
    place = encoded.find(name)
    if place < 0:
        return None
    (size,) = struct.unpack_from(size_format, encoded, place - 4 if size_first else place + 4)
    start = place + (4 if size_first else 8)
    return encoded[start : start + size] if start + size <= len(encoded) else None


@functools.lru_cache(maxsize=256)
def name(profile: bytes) -> str:
    """Returns what a profile calls itself, in one line."""
    try:
        described = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description
    except (OSError, ImageCms.PyCMSError):
        return "a broken profile"
    return " ".join((described or "a profile without a name").split())


@functools.lru_cache(maxsize=256)
def changes_colours(profile: bytes) -> bool:
    """Whether an image with this profile looks different when its numbers are taken for sRGB; not if it is broken."""
    mode = color_mode(profile)
    if mode is None:
        return False
    if mode == "CMYK":
        return True
    levels = np.linspace(0, 255, 9 if mode == "RGB" else 256).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3) if mode == "RGB" else levels[None]
    image = Image.fromarray(grid)
    converted = to_srgb(image, profile)
    if converted is None:
        return False
    difference = np.abs(np.asarray(converted).astype(int) - np.asarray(image.convert("RGB")))
    return bool(difference.max() > _SAME_LEVELS)


@functools.lru_cache(maxsize=256)
def color_mode(profile: bytes) -> str | None:
    """Returns Pillow's mode of the images that a profile is for: "RGB", "L" or "CMYK"; None if it is of no use."""
    try:
        return _MODES.get(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip())
    except (OSError, ImageCms.PyCMSError):
        return None


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Converts an image in the mode of its profile to RGB in sRGB; None if littleCMS cannot.

    The rendering intent is the profile's own. The black point is compensated, so that the black of print is black.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            ImageCms.Intent(ImageCms.getDefaultIntent(source)),
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return ImageCms.applyTransform(image, transform)
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None
