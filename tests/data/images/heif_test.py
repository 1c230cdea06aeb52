"""A HEIC or AVIF of too many parts is refused before it is decoded, and the numbers of its colours count."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.images import conversion, heif
from seer_tf.data.images.formats import UnusableImageError
from tests.data.images import icc


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


def _avif(image: Image.Image, primaries: int, curve: int) -> bytes:
    """Returns an AVIF whose colours have these numbers."""
    file = io.BytesIO()
    image.save(file, "AVIF", quality=100, subsampling="4:4:4")
    whole = file.getvalue()
    place = whole.index(b"colrnclx") + 8
    return whole[:place] + struct.pack(">HH", primaries, curve) + whole[place + 4 :]


def test_the_numbers_of_an_avif_are_its_colours(monkeypatch):
    monkeypatch.setattr(conversion, "_LOSSY", frozenset())  # a JPEG moves colours in a picture of noise
    levels = np.random.default_rng(0).integers(30, 226, (4, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    prepared = conversion.prepared(_avif(Image.fromarray(levels), 12, 4))
    right = icc.to_srgb(levels, icc.DISPLAY_P3, 2.2)
    found = np.asarray(Image.open(io.BytesIO(prepared.encoded))).astype(int)
    assert np.abs(found - right).mean() < 1.5 and np.abs(levels - right).mean() > 5
    assert "converted to sRGB: Display P3, gamma 2.2" in prepared.done


@pytest.mark.parametrize("numbers", [(1, 13), (2, 2)])
def test_usual_and_unspecified_numbers_of_an_avif_change_nothing(numbers):
    prepared = conversion.prepared(_avif(Image.new("RGB", (30, 20), "red"), *numbers))
    assert prepared.done == ("AVIF stored as JPEG of quality 95, all colours kept",)


def test_an_embedded_profile_goes_before_the_numbers():
    file = io.BytesIO()
    image = Image.new("RGB", (30, 20), "red")
    image.save(file, "AVIF", icc_profile=icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Mine"))
    assert "converted to sRGB: Mine" in conversion.prepared(file.getvalue()).done


def test_shards_leave_it_out_with_the_reason() -> None:
    avif = _heic(999).replace(b"heic", b"avif", 1)
    with pytest.raises(UnusableImageError, match="1001 parts"):
        conversion.prepared(avif)
