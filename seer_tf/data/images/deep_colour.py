"""Colours of 16 bits in TIFF and PPM. Pillow takes only their upper eight bits, so images of 12 bits would be dark.

Pillow reads grey of 16 bits in full. A colour TIFF is therefore read as grey: the samples of a pixel become pixels
beside each other, or, where a file keeps each channel apart, each channel becomes an image. Only entries of the
directory of the file change for this (TIFF 6.0). The eight bits begin with the highest that any sample uses, as in
`decode.py` for PNG; alpha uses all of its bits.
"""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PpmImagePlugin, TiffImagePlugin

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _NUM_SAMPLES = 256, 257, 258, 262, 274, 277
_PLANES, _PREDICTOR, _TILE_WIDTH, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 284, 317, 322, 338, 339
_PLACES_AND_LENGTHS = (273, 279, 324, 325)  # of strips or tiles
_SEPARATE, _DIFFERENCES, _PREMULTIPLIED = 2, 2, 1
_UNUSED_TAG = 337  # the name of a printer
_SHORT, _LONG = 3, 4
_BYTES = {_SHORT: 2, _LONG: 4}
_BAND_SAMPLES = 1 << 20
_AS_GREY = {_BITS: 16, _NUM_SAMPLES: 1, _PHOTOMETRIC: 1, _PLANES: 1, _ORIENTATION: 1, _SAMPLE_FORMAT: 1}

#: Note about the conversion, with a place for the number of bits that an image uses.
DONE = "eight highest bits taken: of {}"
#: Bytes that decoding holds for a pixel: as for a PNG with 16 bits.
BYTES_PER_PX = 8


class DeepColour(NamedTuple):
    """An image with colours of 16 bits, not decoded yet.

    Attributes:
        mode: Pillow's mode of the image with eight bits: "RGB", "RGBA", "RGBa" (colours times alpha) or "CMYK".
        size: Width and height, in px, as they are stored.
        orientation: EXIF orientation, 1 to 8.
        bands: Yields the rows from top to bottom, uint16 `[rows, w, channels]`; decodes each time that it is called.
    """

    mode: str
    size: tuple[int, int]
    orientation: int
    bands: Callable[[], Iterator[np.ndarray]]

    def eight_bits(self) -> tuple[Image.Image, str]:
        """Returns the image with eight bits, as it is stored, and what was done to it."""
        num_colors = 4 if self.mode == "CMYK" else 3
        bits = max(8, *(int(band[..., :num_colors].max()).bit_length() for band in self.bands()))
        shifts = np.array([bits - 8] * num_colors + [8], np.uint16)[: len(self.mode)]
        levels = np.empty([self.size[1], self.size[0], len(self.mode)], np.uint8)
        top = 0
        for band in self.bands():
            np.right_shift(band[..., : len(self.mode)], shifts, out=levels[top : top + len(band)], casting="unsafe")
            top += len(band)
        image = Image.frombytes(self.mode, self.size, levels)
        image = image.convert("RGBA") if self.mode == "RGBa" else image
        image.getexif()[_ORIENTATION] = self.orientation
        return image, DONE.format(bits)


def deep_colour(image: Image.Image, encoded: bytes) -> DeepColour | None:
    """Returns an image with colours of 16 bits, not decoded yet; None for an image that Pillow reads in full.

    Args:
        image: Image that Pillow has opened and not loaded.
        encoded: Bytes of its file.
    """
    if isinstance(image, PpmImagePlugin.PpmImageFile):
        return _of_ppm(image, encoded)
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or encoded[:4] not in (b"II*\0", b"MM\0*"):
        return None
    tags = image.tag_v2
    is_deep = set(tags.get(_BITS, ())) == {16} and set(tags.get(_SAMPLE_FORMAT, (1,))) == {1}
    if image.mode not in ("RGB", "RGBA", "CMYK") or not is_deep:
        return None
    mode = "RGBa" if _PREMULTIPLIED in tags.get(_EXTRA_SAMPLES, ()) else image.mode
    size = tags[_WIDTH], tags[_HEIGHT]
    return DeepColour(mode, size, tags.get(_ORIENTATION, 1), lambda: _tiff_bands(encoded, tags))


def _of_ppm(image: PpmImagePlugin.PpmImageFile, encoded: bytes) -> DeepColour | None:
    """Stretches the numbers to 16 bits, as Pillow does for grey; the header says which is the largest."""
    codec, _, start, arguments = image.tile[0]
    width, height = image.size
    largest = arguments[1] if codec == "ppm" and isinstance(arguments, tuple) else 0
    if image.mode != "RGB" or largest < 256 or len(encoded) < start + 6 * width * height:
        return None
    values = np.frombuffer(encoded, ">u2", 3 * width * height, start).reshape(height, width, 3)

    def bands() -> Iterator[np.ndarray]:
        for rows in _rows(height, 3 * width):
            yield np.rint(np.minimum(values[rows] * (65535 / largest), 65535)).astype(np.uint16)

    return DeepColour("RGB", image.size, 1, bands)


def _rows(height: int, samples_per_row: int) -> list[slice]:
    step = max(1, _BAND_SAMPLES // samples_per_row)
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def _tiff_bands(encoded: bytes, tags: Mapping[int, Any]) -> Iterator[np.ndarray]:
    width, height, channels = tags[_WIDTH], tags[_HEIGHT], tags[_NUM_SAMPLES]
    if tags.get(_PLANES) == _SEPARATE:
        planes = [_grey(encoded, _plane(encoded, channel, channels)) for channel in range(channels)]
        for rows in _rows(height, width * channels):
            box = (0, rows.start, width, rows.stop)
            yield np.stack([np.asarray(plane.crop(box)) for plane in planes], axis=-1)
        return
    wide = _grey(encoded, _beside_each_other(tags))
    step = tags.get(_TILE_WIDTH, width) if tags.get(_PREDICTOR) == _DIFFERENCES else 0
    for rows in _rows(height, width * channels):
        band = np.asarray(wide.crop((0, rows.start, width * channels, rows.stop))).reshape(-1, width, channels)
        yield _summed(band, step) if step else band


def _summed(band: np.ndarray, step: int) -> np.ndarray:
    """Sums the differences from the pixel on the left, from the beginning of each tile."""
    parts = [np.cumsum(band[:, left : left + step], axis=1, dtype=np.uint16) for left in range(0, band.shape[1], step)]
    return np.concatenate(parts, axis=1)


class _Entry(NamedTuple):
    """An entry of the directory of a TIFF.

    Attributes:
        place: Where the entry begins in the file.
        kind: Number of the type.
        number: Number of values.
        value: Four bytes that hold the values, or the place of the values.
    """

    place: int
    kind: int
    number: int
    value: bytes


def _directory(encoded: bytes) -> tuple[str, dict[int, _Entry]]:
    """Returns the order of bytes, as `struct` writes it, and the entries of the first page by tag."""
    order = "<" if encoded.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", encoded, 4)
    (number,) = struct.unpack_from(f"{order}H", encoded, start)
    entries = {}
    for place in range(start + 2, start + 2 + 12 * number, 12):
        tag, *values = struct.unpack_from(f"{order}HHI4s", encoded, place)
        entries[tag] = _Entry(place, *values)
    return order, entries


def _beside_each_other(tags: Mapping[int, Any]) -> dict[int, int]:
    """Returns the changed numbers by tag; of differences, libtiff would add those of the wrong neighbour."""
    channels = tags[_NUM_SAMPLES]
    return {_PREDICTOR: 1} | {tag: tags[tag] * channels for tag in (_WIDTH, _TILE_WIDTH) if tag in tags}


def _plane(encoded: bytes, channel: int, channels: int) -> dict[int, tuple[int, int, bytes]]:
    """Returns the places and lengths of the strips or tiles of a channel: type, number and value by tag."""
    order, entries = _directory(encoded)
    found = {}
    for tag in entries.keys() & set(_PLACES_AND_LENGTHS):
        kind, number = entries[tag].kind, entries[tag].number // channels
        num_bytes = number * _BYTES[kind]
        start = struct.unpack(f"{order}I", entries[tag].value)[0] + channel * num_bytes
        value = encoded[start : start + num_bytes] if num_bytes <= 4 else struct.pack(f"{order}I", start)
        found[tag] = (kind, number, value)
    return found


def _grey(encoded: bytes, changes: Mapping[int, int | tuple[int, int, bytes]]) -> Image.Image:
    """Decodes a TIFF as grey of 16 bits, with changes of its directory: numbers, or type, number and value, by tag."""
    order, entries = _directory(encoded)
    changed = bytearray(encoded)
    for tag, change in {**_AS_GREY, **changes}.items():
        if tag in entries:
            kind, number, value = (_LONG, 1, struct.pack(f"{order}I", change)) if isinstance(change, int) else change
            struct.pack_into(f"{order}HI4s", changed, entries[tag].place + 2, kind, number, value.ljust(4, b"\0"))
    if _EXTRA_SAMPLES in entries:
        struct.pack_into(f"{order}H", changed, entries[_EXTRA_SAMPLES].place, _UNUSED_TAG)
    image = Image.open(io.BytesIO(changed), formats=["TIFF"])
    image.load()
    return image
