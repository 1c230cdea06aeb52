"""Formats that need a plugin of Pillow; the tests run where the plugin is installed."""

import importlib
import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images import conversion, decode, plugins
from seer_tf.data.images.formats import UnusableImageError
from tests.data.images import icc

_REASON = "install {} to test this: pip install {}"


def _plugin(module: str, package: str) -> Any:
    return pytest.importorskip(module, reason=_REASON.format(module, package))


@pytest.fixture
def heif() -> Any:
    """The plugin for HEIC, which `plugins.py` registers."""
    plugin = _plugin("pillow_heif", "pillow-heif")
    plugins.register()
    return plugin


def _picture(mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(7).integers(0, 256, (4, 6, 4), np.uint8)
    return Image.fromarray(coarse, "RGBA").resize((96, 64), Image.Resampling.BICUBIC).convert(mode)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def _pixels(encoded: bytes) -> np.ndarray:
    return decode.decode_image(tf.constant(encoded), decode.exif_orientation(encoded)).numpy().astype(int)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.usefixtures("heif")
@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_becomes_a_jpeg_and_is_upright(orientation: int) -> None:
    image = _picture()
    encoded = _encode(image, "HEIF", quality=95, exif=_exif(orientation).tobytes())
    assert conversion.can_read(encoded[:4096])
    prepared = conversion.prepared(encoded)
    assert (
        prepared.done == ("HEIC stored as JPEG of quality 95, all colours kept",) and prepared.found["format"] == "HEIC"
    )
    expected = np.asarray(image.rotate(-90, expand=True) if orientation == 6 else image).astype(int)
    assert _pixels(prepared.encoded).shape == expected.shape
    assert np.abs(_pixels(prepared.encoded) - expected).mean() < 4


@pytest.mark.usefixtures("heif")
def test_a_profile_in_heic_is_converted_and_transparency_is_over_white() -> None:
    profile = icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Display P3")
    image = _picture()
    prepared = conversion.prepared(_encode(image, "HEIF", quality=100, chroma=444, icc_profile=profile))
    expected = icc.to_srgb(np.asarray(image), icc.DISPLAY_P3, 2.2)
    assert "converted to sRGB: Display P3" in prepared.done
    assert np.abs(_pixels(prepared.encoded) - expected).mean() < 4 < np.abs(np.asarray(image) - expected).mean()
    image = _picture("RGBA")
    alpha = np.asarray(image)[..., 3:] / 255
    expected = 255 + alpha * (np.asarray(image)[..., :3] - 255.0)
    assert np.abs(_pixels(conversion.prepared(_encode(image, "HEIF", quality=95)).encoded) - expected).mean() < 5


def test_ten_bits_of_heic_become_eight(heif: Any) -> None:
    values = np.linspace(0, 65535, 64 * 96 * 3).reshape(64, 96, 3).astype(np.uint16)
    file = io.BytesIO()
    heif.from_bytes("RGB;16", (96, 64), values.tobytes()).save(file, quality=95, chroma=444)
    prepared = conversion.prepared(file.getvalue())
    assert np.abs(_pixels(prepared.encoded) - values / 257).mean() < 3


@pytest.mark.usefixtures("heif")
def test_a_heic_that_ends_early_has_many_images_or_is_too_large_is_refused_or_counted() -> None:
    encoded = _encode(_picture(), "HEIF", save_all=True, append_images=[_picture().rotate(180)])
    assert "first frame taken: of 2" in conversion.prepared(encoded).done
    encoded = _encode(_picture(), "HEIF")
    for length in (40, len(encoded) // 2, len(encoded) - 100):
        with pytest.raises(UnusableImageError, match="does not decode|not supported"):
            conversion.prepared(encoded[:length])
    with pytest.raises(UnusableImageError, match="9000 x 9000 pixels are more than 300 MB decoded"):
        conversion.prepared(_encode(Image.new("L", (9000, 9000)), "HEIF", quality=1))


def test_a_jpeg_xl_keeps_its_bytes_with_the_plugin_too() -> None:
    _plugin("pillow_jxl", "pillow-jxl-plugin")
    importlib.import_module("pillow_jxl")
    image = _picture()
    encoded = _encode(image, "JXL", lossless=True)
    prepared = conversion.prepared(encoded)
    assert prepared.encoded is encoded and (_pixels(encoded) == np.asarray(image)).all()
