"""Conversion of images that TensorFlow decodes wrongly or not at all. All other images keep their bytes."""

import importlib.util
import io
import itertools
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageCms

from seer_tf.data.images import conversion, decode, profiles
from seer_tf.data.images.formats import UnusableImageError
from tests.data.images import icc

_P3 = icc.rgb_profile(icc.DISPLAY_P3, 2.2, "Display P3")


def _picture(mode: str = "RGB", size: tuple[int, int] = (40, 24)) -> Image.Image:
    coarse = np.random.default_rng(7).integers(0, 256, (4, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


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


@pytest.mark.parametrize(
    ("kind", "options", "atol"), [("PNG", {}, 1.1), ("JPEG", {"quality": 100, "subsampling": 0}, 9), ("TIFF", {}, 1.1)]
)
def test_a_matrix_profile_is_converted(kind, options, atol):
    """The result equals the equations. If the profile were ignored, the values would be off by many levels."""
    image = _picture()
    prepared = conversion.prepared(_encode(image, kind, icc_profile=_P3, **options))
    expected = icc.to_srgb(np.asarray(image), icc.DISPLAY_P3, 2.2)
    difference = np.abs(_pixels(prepared.encoded) - expected)
    assert np.quantile(difference, 0.98) <= atol and difference.mean() < atol / 3
    assert np.abs(np.asarray(image) - expected).mean() > 5
    assert "converted to sRGB: Display P3" in prepared.done and prepared.found["profile"] == "Display P3"
    assert profiles.embedded(prepared.encoded) is None


def test_a_grey_profile_is_converted():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        prepared = conversion.prepared(_encode(Image.fromarray(levels), kind, icc_profile=icc.grey_profile(1.8)))
        # White and grey do not depend on the primaries.
        expected = icc.to_srgb(np.stack([levels] * 3, axis=-1), icc.DISPLAY_P3, 1.8)
        assert np.abs(_pixels(prepared.encoded) - expected).max() <= 1.5


@pytest.mark.parametrize(("kind", "options", "atol"), [("TIFF", {}, 2), ("JPEG", {"quality": 100}, 8)])
def test_a_table_of_inks_is_converted(kind, options, atol):
    """The image shows the sixteen full mixtures of inks. All mixtures with black have one colour."""
    colors = np.random.default_rng(3).uniform((35, -25, -25), (75, 25, 25), (16, 3))
    inks = list(itertools.product((0, 1), repeat=4))
    labs = {mixture: (0.0, 0.0, 0.0) if mixture[3] else tuple(lab) for mixture, lab in zip(inks, colors, strict=True)}
    labs[0, 0, 0, 0] = (100.0, 0.0, 0.0)
    profile = icc.cmyk_profile(labs)
    pixels = np.repeat(255 * np.array(inks, np.uint8)[None], 16, axis=0).repeat(16, axis=1)  # squares of 16 px
    image = Image.frombytes("CMYK", (256, 16), pixels.tobytes())
    prepared = conversion.prepared(_encode(image, kind, icc_profile=profile, **options))
    found = _pixels(prepared.encoded)[8, 8::16]
    assert np.abs(found - [icc.lab_to_srgb(labs[mixture]) for mixture in inks]).max() <= atol
    assert "converted to sRGB: Inks" in prepared.done


@pytest.mark.parametrize(
    "encoded",
    [
        _encode(_picture(), "JPEG"),
        _encode(_picture("CMYK"), "JPEG"),
        _encode(_picture(), "JPEG", exif=_exif(6)),
        _encode(_picture("RGBA"), "PNG"),
        _encode(_picture(), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        _encode(_picture(), "PNG", icc_profile=bytes(300)),
        _encode(_picture(), "WEBP"),
        _encode(_picture("P"), "GIF"),
        _encode(_picture(), "BMP"),
        _encode(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)), "PNG"),
    ],
)
def test_an_image_that_needs_no_conversion_keeps_its_bytes(encoded):
    assert conversion.prepared(encoded).encoded is encoded and conversion.prepared(encoded).done == ()


def test_format_profile_orientation_and_frames_are_found():
    frames = [_picture("P"), _picture("P", (40, 24)).rotate(180)]
    for encoded, found in (
        (_encode(_picture(), "JPEG", exif=_exif(6)), {"format": "JPEG", "orientation": "6"}),
        (_encode(_picture(), "PNG", icc_profile=bytes(300)), {"format": "PNG", "profile": "a broken profile"}),
        (_encode(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"), {"format": "PNG", "bits": "16"}),
        (_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), {"frames": "the first of several"}),
        (_encode(frames[0], "PNG", save_all=True, append_images=frames[1:]), {"frames": "the first of several"}),
        (_encode(_picture(), "MPO", save_all=True, append_images=[_picture()]), {"frames": "the first of several"}),
    ):
        prepared = conversion.prepared(encoded)
        assert prepared.encoded is encoded and found.items() <= prepared.found.items()


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        *(("TIFF", mode, {}) for mode in ("RGB", "L", "1", "P", "CMYK", "RGBA")),
        ("TIFF", "RGB", {"compression": "tiff_lzw", "exif": _exif(6)}),
        ("PPM", "RGB", {}),
        ("BMP", "P", {}),
        ("TGA", "RGB", {}),
        ("ICO", "RGBA", {"sizes": [(40, 24)]}),
        ("PCX", "RGB", {}),
        ("QOI", "RGB", {}),
    ],
)  # fmt: skip
def test_lossless_formats_become_png(kind, mode, options):
    """Each image equals Pillow's result to the bit, upright and over white. A TGA file has no magic number."""
    if kind == "QOI" and "QOI" not in Image.SAVE:
        pytest.skip("this Pillow does not write QOI")
    encoded = _encode(_picture(mode), kind, **options)
    if kind == "TGA":
        with pytest.raises(UnusableImageError):
            conversion.prepared(encoded)
        return
    assert conversion.can_read(encoded[:4096])
    prepared = conversion.prepared(encoded)
    assert prepared.encoded.startswith(b"\x89PNG") and prepared.done[0] == f"{kind} stored as PNG"
    with Image.open(io.BytesIO(encoded)) as image:
        image.load()
        rgba = image.convert("RGBA")
        expected = Image.composite(image.convert("RGB"), Image.new("RGB", image.size, "white"), rgba.getchannel("A"))
    assert (_pixels(prepared.encoded) == np.asarray(expected)).all()
    if "exif" in options:
        assert _pixels(prepared.encoded).shape == (40, 24, 3)


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("AVIF", "AVIF", {"quality": 95, "exif": _exif(6)}),
        ("JPEG2000", "JPEG 2000", {}),
        ("WEBP", "WebP", {"save_all": True, "lossless": True}),
    ],
)
def test_lossy_formats_and_animations_become_jpeg_of_a_stated_quality(kind, name, options):
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {kind}")
    image = _picture(size=(64, 48))
    if kind == "WEBP":
        options = {**options, "append_images": [image.rotate(180)]}
    prepared = conversion.prepared(_encode(image, kind, **options))
    assert prepared.encoded.startswith(b"\xff\xd8") and prepared.done[0].startswith(
        f"{name} stored as JPEG of quality 95"
    )
    expected = np.asarray(image.rotate(-90, expand=True) if "exif" in options else image).astype(int)
    assert np.abs(_pixels(prepared.encoded) - expected).mean() < 3
    assert ("first frame taken: of 2" in prepared.done) == (kind == "WEBP")


def test_the_first_page_is_taken_and_the_number_of_pages_is_said():
    pages = [Image.new("RGB", (9, 8), color) for color in ("red", "blue", "green")]
    prepared = conversion.prepared(_encode(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert (_pixels(prepared.encoded) == (255, 0, 0)).all()
    assert "first frame taken: of 3" in prepared.done and prepared.found["frames"] == "the first of several"


@pytest.mark.parametrize(
    ("kind", "largest"),
    [*((kind, largest) for kind in ("TIFF", "JPEG2000") for largest in (255, 1023, 4095, 65535)), ("PPM", 65535)],
)
def test_more_than_eight_bits_are_reduced_to_eight_as_for_png(kind, largest):
    levels = np.linspace(0, largest, 600).astype(np.uint16).reshape(20, 30)
    options = {"irreversible": False} if kind == "JPEG2000" else {}
    prepared = conversion.prepared(_encode(Image.fromarray(levels), kind, **options))
    expected = _pixels(_encode(Image.fromarray(levels), "PNG"))
    assert np.abs(_pixels(prepared.encoded) - expected).max() <= (3 if kind == "JPEG2000" else 0)
    assert any(text.startswith("eight highest bits taken: of ") for text in prepared.done)


def test_fractions_and_negative_values_are_scaled_to_the_range_of_levels():
    ramp = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    for values, expected, words in (
        (ramp / 2, ramp / 2, "from 0 to 1"),
        (ramp * 30 - 10, ramp, "from -10 to 20"),
        (np.where(ramp > 0.5, np.nan, ramp), np.where(ramp > 0.5, 0, ramp), "from 0 to 1"),
        (np.full_like(ramp, 7), np.zeros_like(ramp), "from 7 to 7"),
        ((ramp * 200).astype(np.int32) - 100, np.floor(ramp * 200) / 200, "from -100 to 100"),
    ):
        prepared = conversion.prepared(_encode(Image.fromarray(values), "TIFF"))
        assert np.abs(_pixels(prepared.encoded)[..., 0] - 255 * expected).max() <= 0.51
        assert f"levels stretched to 8 bits: {words}" in prepared.done


def test_transparency_stays_over_white_when_a_profile_is_converted():
    image = _picture("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    for kind in ("PNG", "TIFF"):
        prepared = conversion.prepared(_encode(image, kind, icc_profile=_P3))
        alpha = np.asarray(image)[..., 3:] / 255
        color = icc.to_srgb(np.asarray(image)[..., :3], icc.DISPLAY_P3, 2.2)
        over_white = icc.to_srgb(255 + alpha * (np.asarray(image)[..., :3] - 255.0), icc.DISPLAY_P3, 2.2)
        # TensorFlow blends a PNG over white before the conversion.
        expected = over_white if kind == "PNG" else 255 + alpha * (color - 255)
        assert np.abs(_pixels(prepared.encoded) - expected).mean() < 1


def test_broken_and_foreign_files_are_refused_with_a_reason():
    tiff = _encode(_picture(), "TIFF")
    heic = b"\0\0\0\x18ftypheic" + bytes(100)
    reasons = {b"hello": "not an image", tiff[: len(tiff) // 2]: "does not decode", b"%!PS-Adobe-3.0": "not an image"}
    if not importlib.util.find_spec("pillow_heif"):
        reasons |= {
            heic: "HEIC needs pillow-heif: pip install",
            b"\0\0\0\x18ftypmif1" + bytes(100): "HEIC needs pillow",
        }
    for encoded, reason in reasons.items():
        with pytest.raises(UnusableImageError, match=reason):
            conversion.prepared(encoded)
    with pytest.raises(UnusableImageError, match="8000 x 9500 pixels are more than 300 MB decoded"):
        conversion.prepared(_bmp_claiming(8000, 9500))
    with pytest.raises(UnusableImageError, match="does not decode: Image size .* exceeds limit"):
        conversion.prepared(_bmp_claiming(20_000, 20_000))
    for encoded in (b"\xff\xd8\xff broken", _encode(_picture(), "PNG")[:20]):
        assert not conversion.can_read(encoded)


def _bmp_claiming(width: int, height: int) -> bytes:
    """Returns a BMP with a palette whose header states this size."""
    encoded = bytearray(_encode(_picture("P"), "BMP"))
    encoded[18:26] = struct.pack("<ii", width, height)
    return bytes(encoded)


def test_a_whole_profile_is_found_and_a_damaged_profile_is_ignored():
    """JPEG stores a long profile in parts. A profile with a cut or broken part or chunk is ignored."""
    long = bytes(range(256)) * 600
    for kind in ("JPEG", "PNG", "WEBP"):
        encoded = _encode(_picture(), kind, icc_profile=long)
        assert profiles.embedded(encoded) == long
        assert profiles.embedded(encoded[: len(encoded) // 8]) is None
    png = bytearray(_encode(_picture(), "PNG", icc_profile=_P3))
    place = png.index(zlib.compress(_P3)[:6]) + 2
    png[place : place + 8] = bytes(8)
    assert profiles.embedded(bytes(png)) is None and profiles.embedded(b"GIF89a") is None
