"""Writes TIFF files with channels of 16 bits (TIFF 6.0), which Pillow does not write."""

import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

_SHORT, _LONG = 3, 4
_DEFLATE = 8


def encoded(
    values: np.ndarray,
    *,
    order: str = "<",
    packed: bool = False,
    differences: bool = False,
    apart: bool = False,
    tile: int = 0,
    rows_per_strip: int = 0,
    photometric: int = 2,
    extra: Sequence[int] = (),
    orientation: int = 1,
) -> bytes:
    """Returns a TIFF.

    Args:
        values: Samples, uint16 `[h, w, channels]`.
        order: Order of the bytes, "<" or ">".
        packed: Whether the data are compressed.
        differences: Whether the data are differences to the pixel on the left.
        apart: Whether the channels are one behind another.
        tile: Side of the tiles; 0 for strips.
        rows_per_strip: Rows in a strip; 0 for all.
        photometric: 2 for RGB, 5 for CMYK.
        extra: Meaning of the channels behind the colours: 0 unknown, 1 premultiplied alpha, 2 alpha.
        orientation: EXIF orientation.
    """
    height, width, channels = values.shape
    planes = [values[..., [channel]] for channel in range(channels)] if apart else [values]
    rows = rows_per_strip or height
    blocks = [block for plane in planes for block in (_tiles(plane, tile) if tile else _strips(plane, rows))]
    data = [_data(block, order, packed, differences) for block in blocks]
    tags = {
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [16] * channels),
        259: (_SHORT, [_DEFLATE if packed else 1]),
        262: (_SHORT, [photometric]),
        274: (_SHORT, [orientation]),
        277: (_SHORT, [channels]),
        284: (_SHORT, [2 if apart else 1]),
        317: (_SHORT, [2 if differences else 1]),
        338: (_SHORT, list(extra)),
        **({322: (_LONG, [tile]), 323: (_LONG, [tile])} if tile else {278: (_LONG, [rows])}),
        (324 if tile else 273): (_LONG, [0] * len(data)),
        (325 if tile else 279): (_LONG, [len(block) for block in data]),
    }
    tags = {tag: tags[tag] for tag in sorted(tags) if tags[tag][1]}
    start = 8 + len(_directory(tags, order))
    places = [start + sum(map(len, data[:number])) for number in range(len(data))]
    tags[324 if tile else 273] = (_LONG, places)
    begin = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return begin + _directory(tags, order) + b"".join(data)


def _directory(tags: dict[int, tuple[int, list[int]]], order: str) -> bytes:
    """Returns the directory and the values that do not fit into it; it begins at byte 8."""
    entries, behind = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    for tag, (kind, numbers) in tags.items():
        value = struct.pack(f"{order}{len(numbers)}{'H' if kind == _SHORT else 'I'}", *numbers)
        if len(value) > 4:
            value, behind = struct.pack(f"{order}I", start + len(behind)), behind + value
        entries += struct.pack(f"{order}HHI4s", tag, kind, len(numbers), value)
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind


def _strips(plane: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    for top in range(0, len(plane), rows):
        yield plane[top : top + rows]


def _tiles(plane: np.ndarray, side: int) -> Iterator[np.ndarray]:
    height, width = plane.shape[:2]
    whole = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield whole[top : top + side, left : left + side]


def _data(block: np.ndarray, order: str, packed: bool, differences: bool) -> bytes:
    values = np.diff(block, axis=1, prepend=block.dtype.type(0)) if differences else block
    data = values.astype(f"{order}u2").tobytes()
    return zlib.compress(data) if packed else data
