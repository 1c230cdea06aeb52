"""The orientation that a graph reads equals Pillow's, for files from Pillow and for real files."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.decode import exif_orientation
from seer_tf.exporting.exif import jpeg_orientation
from tests.real_images import REAL_IMAGES, needs_real_images

_in_graph = tf.function(jpeg_orientation, input_signature=[tf.TensorSpec([], tf.string)])


def _jpeg(exif: bytes, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros([8, 8, 3], np.uint8)).save(file, kind, exif=exif)
    return file.getvalue()


def _exif(orientation: int, order: str, *, before: int = 0) -> bytes:
    """Returns EXIF, written by hand in either byte order, with `before` entries before the orientation."""
    big = "big" if order == "MM" else "little"
    number = lambda value, size: value.to_bytes(size, big)  # noqa: E731
    entry = lambda tag, value: number(tag, 2) + number(3, 2) + number(1, 4) + number(value, 2) + b"\0\0"  # noqa: E731
    entries = [entry(0x0100 + place, 6) for place in range(before)] + [entry(0x0112, orientation)]
    head = order.encode() + number(42, 2) + number(8, 4) + number(len(entries), 2)
    return b"Exif\0\0" + head + b"".join(entries) + number(0, 4)


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_read_in_both_byte_orders(order, orientation):
    """The orientation is the first entry, or comes after other entries."""
    for before in (0, 3):
        encoded = _jpeg(_exif(orientation, order, before=before))
        assert exif_orientation(encoded) == orientation
        assert _in_graph(encoded).numpy() == orientation


@pytest.mark.parametrize("text", ['tiff:Orientation="%d"', "<tiff:Orientation>%d</tiff:Orientation>"])
def test_an_orientation_in_xmp_is_read(text):
    """If EXIF has an orientation too, EXIF counts."""
    for orientation in (*range(1, 9), 0, 9):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", xmp=(text % orientation).encode())
        expected = orientation if 1 <= orientation <= 8 else 1
        assert exif_orientation(file.getvalue()) == _in_graph(file.getvalue()).numpy() == expected
    Image.new("RGB", (8, 8)).save(file := io.BytesIO(), "JPEG", xmp=(text % 8).encode(), exif=_exif(3, "II"))
    assert exif_orientation(file.getvalue()) == _in_graph(file.getvalue()).numpy() == 3


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\xff\xd8",
        b"no image",
        _jpeg(b""),
        _jpeg(_exif(0, "MM")),
        _jpeg(_exif(9, "II")),
        _jpeg(_exif(6, "II"))[:40],
        _jpeg(_exif(6, "II")[:14]),
        b"\xff\xd8Exif\0\0II" + b"\xff" * 60,
        b"\xff\xd8Exif\0\0MM" + b"\xff" * 60,
        _jpeg(_exif(6, "II"), "PNG"),
    ],
)
def test_broken_metadata_mean_upright(encoded):
    """Broken metadata never makes an image unusable."""
    assert _in_graph(encoded).numpy() == 1


@pytest.mark.parametrize("order", ["II", "MM"])
def test_every_damaged_byte_of_mark_and_entry_counts_as_in_pillow(order: str) -> None:
    """The marker and mark of the segment, the beginning of TIFF, and the only entry."""
    whole = _jpeg(_exif(6, order))
    start = whole.index(b"\xff\xe1")
    for place in (
        start,
        start + 1,
        *range(start + 4, start + 10),
        *range(start + 10, start + 14),
        *range(start + 20, start + 32),
    ):
        for value in (whole[place] ^ 2, whole[place] ^ 16, 255, 4):
            damaged = whole[:place] + bytes([value]) + whole[place + 1 :]
            assert exif_orientation(damaged) == _in_graph(damaged).numpy(), (place - start, value)


@needs_real_images
def test_orientations_of_real_files_equal_pillows():
    """The files are photographs from many cameras, and files that are difficult on purpose."""
    files = [*(REAL_IMAGES / "wild_photos").glob("*"), *(REAL_IMAGES / "messy").glob("*.jp*g")]
    found = {path.name: int(_in_graph(path.read_bytes())) for path in files}
    expected = {path.name: exif_orientation(path.read_bytes()) for path in files}
    assert found == expected
    assert sum(orientation != 1 for orientation in found.values()) >= 5
