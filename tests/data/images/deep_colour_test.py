"""Colours of 16 bits in TIFF and PPM are read in full, and become the same eight bits as in a PNG."""

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images import conversion, decode, deep_colour
from seer_tf.data.images.formats import UnusableImageError
from tests.data.images import tiff


def _values(channels: int, largest: int = 65535, size: tuple[int, int] = (37, 41)) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, largest, (*size, channels), endpoint=True).astype(np.uint16)


def _samples(encoded: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(encoded)) as image:
        found = deep_colour.deep_colour(image, encoded)
    assert found is not None
    return np.concatenate(list(found.bands()))


def _pixels(encoded: bytes) -> np.ndarray:
    return decode.decode_image(tf.constant(encoded)).numpy()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"rows_per_strip": 5},
        {"packed": True},
        {"packed": True, "differences": True, "rows_per_strip": 36},
        {"apart": True},
        {"apart": True, "rows_per_strip": 19},
        {"apart": True, "packed": True, "differences": True},
        {"tile": 16},
        {"tile": 16, "packed": True, "differences": True},
        {"tile": 16, "apart": True, "packed": True, "differences": True},
        {"tile": 48, "apart": True},
    ],
)
def test_every_layout_of_a_tiff_is_read_to_the_last_bit(
    order: str, layout: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bands of a few rows, too. Pillow alone reads uncompressed channels that are apart as other colours."""
    monkeypatch.setattr(deep_colour, "_BAND_SAMPLES", 700)
    values = _values(3)
    np.testing.assert_array_equal(_samples(tiff.encoded(values, order=order, **layout)), values)


@pytest.mark.parametrize("largest", [255, 1023, 4095, 65535])
def test_a_tiff_a_ppm_and_a_png_give_the_same_eight_bits(largest: int) -> None:
    values = _values(3, largest)
    expected = _pixels(tf.io.encode_png(values).numpy())
    ppm = b"P6 41 37 65535\n" + values.astype(">u2").tobytes()
    for encoded in (tiff.encoded(values), tiff.encoded(values, tile=16, packed=True), ppm):
        prepared = conversion.prepared(encoded)
        np.testing.assert_array_equal(_pixels(prepared.encoded), expected)
        bits = max(8, largest.bit_length())
        assert f"eight highest bits taken: of {bits}" in prepared.done and prepared.found["bits"] == "more than 8"


def test_a_ppm_states_its_largest_number() -> None:
    values = _values(3, 1000)
    prepared = conversion.prepared(b"P6\n41 37\n1000\n" + values.astype(">u2").tobytes())
    assert np.abs(_pixels(prepared.encoded) - 255 / 1000 * values).max() <= 1


def test_alpha_keeps_its_own_bits_and_may_be_multiplied_in() -> None:
    values = _values(4, 4095)
    values[..., 3] = np.linspace(30000, 65535, values[..., 3].size).reshape(values.shape[:2])
    alpha = values[..., 3:] / 65535
    expected = 255 + alpha * (values[..., :3] / 16 - 255)
    premultiplied = np.concatenate([np.round(values[..., :3] * alpha).astype(np.uint16), values[..., 3:]], axis=-1)
    premultiplied[0, 0, :3] = 4095, 0, 0  # all twelve bits are used
    for encoded in (tiff.encoded(values, extra=[2]), tiff.encoded(premultiplied, extra=[1])):
        found = _pixels(conversion.prepared(encoded).encoded)
        assert np.abs(found - expected)[1:].max() <= 3
    unknown = conversion.prepared(tiff.encoded(values, extra=[0]))
    np.testing.assert_array_equal(_pixels(unknown.encoded), values[..., :3] >> 4)


def test_inks_are_read_and_the_image_is_turned_upright() -> None:
    values = _values(4)
    found = _pixels(conversion.prepared(tiff.encoded(values, photometric=5, orientation=6)).encoded)
    expected = Image.frombytes("CMYK", (41, 37), (values >> 8).astype(np.uint8)).convert("RGB")
    np.testing.assert_array_equal(found, np.asarray(expected.transpose(Image.Transpose.ROTATE_270)))


def test_a_tiff_that_ends_early_or_is_too_large_is_refused() -> None:
    whole = tiff.encoded(_values(3), packed=True, rows_per_strip=5)
    with pytest.raises(UnusableImageError, match="does not decode"):
        conversion.prepared(whole[: len(whole) // 2])
    large = bytearray(tiff.encoded(np.zeros([1, 7000, 3], np.uint16)))
    place = large.index(b"\x01\x01\x04\0\x01\0\0\0\x01\0\0\0") + 8
    large[place : place + 4] = (7000).to_bytes(4, "little")
    with pytest.raises(UnusableImageError, match="7000 x 7000 pixels are more than 300 MB decoded"):
        conversion.prepared(bytes(large))


def test_colours_of_jpeg_2000_keep_the_bits_that_the_file_states() -> None:
    file = io.BytesIO()
    Image.fromarray(_values(3, 255).astype(np.uint8)).save(file, "JPEG2000")
    assert not any("eight highest" in text for text in conversion.prepared(file.getvalue()).done)
    stated = bytearray(file.getvalue())
    place = stated.index(b"\xff\x4f\xff\x51") + 42
    for channel in range(3):
        stated[place + 3 * channel] = 11
    done = conversion.prepared(bytes(stated)).done
    assert "eight highest bits taken: of 12 that the file states" in done
