"""A HEIC or AVIF of too many parts is refused before it is decoded."""

import io
import struct

import pytest
from PIL import Image

from seer_tf.data.images import conversion, heif
from seer_tf.data.images.formats import UnusableImageError


def _box(name: bytes, content: bytes, *, is_long: bool = False) -> bytes:
    if is_long:
        return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content
    return struct.pack(">I4s", 8 + len(content), name) + content


def _item(number: int, kind: bytes, version: int) -> bytes:
    """Returns the entry of an item, with a number of 2 bytes in version 2 and of 4 in version 3."""
    return _box(
        b"infe", bytes([version, 0, 0, 0]) + struct.pack(">HH" if version == 2 else ">IH", number, 0) + kind + b"\0"
    )


def _heic(num_parts: int, *, kind: bytes = b"grid", version: int = 0, is_long: bool = False) -> bytes:
    """Returns the boxes of an image that is made of the same part again and again."""
    items = [_item(1, kind, 2 + version), _item(2, b"hvc1", 2 + version)]
    count = struct.pack(">I" if version else ">H", len(items))
    numbers = [1, *[2] * num_parts]
    ids = [struct.pack(">I" if version else ">H", number) for number in numbers]
    part = _box(b"dimg", ids[0] + struct.pack(">H", num_parts) + b"".join(ids[1:]))
    content = _box(b"iinf", bytes([version, 0, 0, 0]) + count + b"".join(items))
    content += _box(b"iref", bytes([version, 0, 0, 0]) + part)
    return _box(b"ftyp", b"heic\0\0\0\0") + _box(b"free", b"") + _box(b"meta", bytes(4) + content, is_long=is_long)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("is_long", [False, True])
def test_parts_are_counted(version: int, is_long: bool) -> None:
    heif.check_parts(_heic(998, version=version, is_long=is_long))
    with pytest.raises(UnusableImageError, match="1001 parts are more than 1000 parts in a HEIC or AVIF"):
        heif.check_parts(_heic(999, version=version, is_long=is_long))


@pytest.mark.parametrize("version", [0, 1])
def test_overlays_are_refused(version: int) -> None:
    with pytest.raises(UnusableImageError, match="overlays are not supported"):
        heif.check_parts(_heic(3, kind=b"iovl", version=version))


def test_an_avif_passes_and_pieces_of_one_never_fail_otherwise() -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20)).save(file, "AVIF")
    assert conversion.prepared(file.getvalue()).found["format"] == "AVIF"
    whole = _heic(999)
    for encoded in (file.getvalue(), whole):
        for length in range(0, len(encoded), 7):
            heif.check_parts(encoded[:length])


def test_shards_leave_it_out_with_the_reason() -> None:
    avif = _heic(999).replace(b"heic", b"avif", 1)
    with pytest.raises(UnusableImageError, match="1001 parts"):
        conversion.prepared(avif)
