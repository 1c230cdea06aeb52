"""Colours that only the chunks gAMA and cHRM of a PNG describe are converted to sRGB."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images import conversion, decode, png_colour, profiles
from tests.data.images import icc

_WHITE = (31270, 32900)
_SRGB = (64000, 33000, 30000, 60000, 15000, 6000)
_P3 = (68000, 32000, 26500, 69000, 15000, 6000)
_REC_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
_SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def _picture(mode: str = "RGB") -> Image.Image:
    levels = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    return Image.fromarray(levels).convert(mode)


def _png(image: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG with chunks behind its header."""
    file = io.BytesIO()
    image.save(file, "PNG")
    whole = file.getvalue()
    added = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return whole[:33] + added + whole[33:]


def _gamma(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


def _primaries(*values: int) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(f">{len(values)}I", *values)


def _pixels(encoded: bytes) -> np.ndarray:
    return decode.decode_image(tf.constant(encoded)).numpy().astype(int)


@pytest.mark.parametrize(("gamma", "decoding"), [(100_000, 1.0), (55_556, 1.8), (40_000, 2.5)])
@pytest.mark.parametrize(("primaries", "expected"), [((), _SRGB_PRIMARIES), (_P3, icc.DISPLAY_P3)])
def test_gamma_and_primaries_are_converted(gamma, decoding, primaries, expected):
    """The result equals the equations, and is far from the levels in the file."""
    image = _picture()
    chunks = [_gamma(gamma), *([_primaries(*_WHITE, *primaries)] if primaries else [])]
    prepared = conversion.prepared(_png(image, *chunks))
    right = icc.to_srgb(np.asarray(image), expected, decoding)
    found = _pixels(prepared.encoded)
    assert np.quantile(np.abs(found - right), 0.98) <= 1.1 and np.abs(np.asarray(image) - right).mean() > 3
    name = f"gAMA={gamma / 100_000:g}" + (", cHRM" if primaries else "")
    assert prepared.done == (f"converted to sRGB: {name}", "PNG stored as PNG") and prepared.found["profile"] == name
    assert profiles.embedded(prepared.encoded) is None


def test_grey_and_palettes_are_converted_too():
    for mode in ("L", "P"):
        image = _picture(mode)
        found = _pixels(conversion.prepared(_png(image, _gamma(100_000))).encoded)
        right = icc.to_srgb(np.asarray(image.convert("RGB")), _SRGB_PRIMARIES, 1.0)
        assert np.quantile(np.abs(found - right), 0.98) <= 1.1


def test_wide_primaries_alone_have_the_curve_of_srgb():
    image = _picture()
    prepared = conversion.prepared(_png(image, _primaries(*_WHITE, *_P3)))
    right = icc.to_srgb(np.asarray(image), icc.DISPLAY_P3, 2.2)  # the two curves differ in dark colours alone
    bright = np.asarray(image).min(axis=-1) > 60
    assert np.abs(_pixels(prepared.encoded) - right)[bright].mean() < 2 < np.abs(np.asarray(image) - right).mean() / 2


@pytest.mark.parametrize(
    "chunks",
    [
        [_gamma(45_455)],
        [_gamma(45_455), _primaries(*_WHITE, *_SRGB)],
        [_gamma(47_000)],
        [(b"sRGB", b"\0"), _gamma(100_000)],
        [(b"cICP", b"\1\x0d\0\1"), _gamma(100_000)],
        [_gamma(0)],
        [_gamma(4_000_000_000)],
        [(b"gAMA", b"\0\1")],
        [_primaries(*_WHITE, *(0,) * 6)],
        [_primaries(*_WHITE, *(33_000,) * 6)],
        [_primaries(1, 2, 3)],
    ],
)
def test_what_means_srgb_or_nothing_keeps_its_bytes(chunks):
    encoded = _png(_picture(), *chunks)
    prepared = conversion.prepared(encoded)
    assert prepared.encoded is encoded and prepared.done == ()


def _coded(*numbers: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes((*numbers, 0, 1))


@pytest.mark.parametrize(("code", "primaries"), [(12, icc.DISPLAY_P3), (1, _SRGB_PRIMARIES), (9, _REC_2020)])
def test_coded_colours_are_converted_and_go_before_all_others(code, primaries):
    """The number 4 stands for a gamma of 2.2, 5 for 2.8."""
    image = _picture()
    found = conversion.prepared(_png(image, _coded(code, 5), (b"sRGB", b"\0"), _gamma(100_000)))
    right = icc.to_srgb(np.asarray(image), primaries, 2.8)
    assert np.quantile(np.abs(_pixels(found.encoded) - right), 0.98) <= 1.1
    assert np.abs(np.asarray(image) - right).mean() > 3
    assert found.found["profile"].endswith(", gamma 2.8")


def test_coded_grey_is_converted_too():
    image = _picture("L")
    found = _pixels(conversion.prepared(_png(image, _coded(12, 8))).encoded)
    right = icc.to_srgb(np.asarray(image.convert("RGB")), _SRGB_PRIMARIES, 1.0)
    assert np.quantile(np.abs(found - right), 0.98) <= 1.1


@pytest.mark.parametrize("numbers", [(2, 2), (1, 2), (200, 13), (12, 200), (1, 1)])
def test_unspecified_and_unknown_numbers_change_nothing(numbers):
    encoded = _png(_picture(), _coded(*numbers))
    assert conversion.prepared(encoded).encoded is encoded


@pytest.mark.parametrize(("curve", "paper"), [(16, 148), (18, 191)])
def test_paper_is_white_and_what_is_brighter_is_clipped(curve, paper):
    """203 cd/m2 is level 0.581 of PQ, and level 0.75 of HLG (ITU-R BT.2408, table 1)."""
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
    found = _pixels(conversion.prepared(_png(Image.fromarray(levels), _coded(9, curve))).encoded)[0, :, 0]
    assert (np.diff(found) >= 0).all() and (found[paper + 1 :] == 255).all()
    assert found[paper - 1] >= 250 and found[paper - 10] < 245 and found[0] == 0


def test_a_profile_goes_before_the_chunks():
    profile = icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Display P3")
    file = io.BytesIO()
    _picture().save(file, "PNG", icc_profile=profile)
    whole = file.getvalue()
    data = struct.pack(">I", 100_000)
    gamma = struct.pack(">I", 4) + b"gAMA" + data + struct.pack(">I", zlib.crc32(b"gAMA" + data))
    assert profiles.embedded(whole[:33] + gamma + whole[33:]) == profile


def test_pieces_of_a_png_have_no_profile():
    encoded = _png(_picture(), _gamma(100_000))
    assert all(png_colour.profile(encoded[:length]) is None for length in range(45))
    assert all(png_colour.profile(encoded[:length]) for length in range(45, len(encoded), 40))
