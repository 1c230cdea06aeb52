"""Decoded images equal Pillow's, and bad images are refused with a reason."""

import io
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from seer_tf.data.images import acceptance, decode, formats
from tests.places import ROOT

_IMAGES = ROOT.parent / "shared" / "images"


def _picture(mode: str = "RGB", size: tuple[int, int] = (37, 25)) -> Image.Image:
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (4, 5, 4), np.uint8), "RGBA")
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    encoded = io.BytesIO()
    image.save(encoded, kind, **options)
    return encoded.getvalue()


def _pillow(encoded: bytes) -> np.ndarray:
    """Returns Pillow's pixels: upright, over white, RGB."""
    with Image.open(io.BytesIO(encoded)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright).convert("RGB")).astype(int)


def _ours(encoded: bytes) -> np.ndarray:
    return decode.decode_image(tf.constant(encoded), decode.exif_orientation(encoded)).numpy().astype(int)


_EXACT = {
    "jpeg": lambda: _encode(_picture(), "JPEG", quality=90),
    "progressive jpeg": lambda: _encode(_picture(), "JPEG", progressive=True),
    "grey jpeg": lambda: _encode(_picture("L"), "JPEG"),
    "png": lambda: _encode(_picture(), "PNG"),
    "grey png": lambda: _encode(_picture("L"), "PNG"),
    "1-bit png": lambda: _encode(_picture("1"), "PNG"),
    "2-bit palette png": lambda: _encode(_picture().quantize(4), "PNG"),
    "4-bit palette png with a transparent colour": lambda: _encode(_picture().quantize(16), "PNG", transparency=3),
    "palette png": lambda: _encode(_picture("P"), "PNG"),
    "palette png with a transparent colour": lambda: _encode(_picture("P"), "PNG", transparency=3),
    "gif": lambda: _encode(_picture("P"), "GIF"),
    "bmp": lambda: _encode(_picture(), "BMP"),
    "32-bit bmp": lambda: _encode(_picture("RGBA"), "BMP"),
    "lossless webp": lambda: _encode(_picture(), "WEBP", lossless=True),
}
_NEAR = {
    "png with alpha": lambda: _encode(_picture("RGBA"), "PNG"),
    "grey png with alpha": lambda: _encode(_picture("LA"), "PNG"),
    "lossless webp with alpha": lambda: _encode(_picture("RGBA"), "WEBP", lossless=True),
    "lossy webp": lambda: _encode(_picture(), "WEBP"),
    "lossy webp with alpha": lambda: _encode(_picture("RGBA"), "WEBP"),
    "cmyk jpeg": lambda: _encode(_picture("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("kind", _EXACT)
def test_pixels_equal_pillows(kind):
    encoded = _EXACT[kind]()
    expected = _pillow(encoded)
    if kind == "32-bit bmp":
        expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
    assert (_ours(encoded) == expected).all()
    assert acceptance.reject_reason(encoded) is None


@pytest.mark.parametrize("kind", _NEAR)
def test_pixels_equal_pillows_within_two_levels(kind):
    encoded = _NEAR[kind]()
    assert np.abs(_ours(encoded) - _pillow(encoded)).max() <= 2
    assert acceptance.reject_reason(encoded) is None


# An image of five by three pixels, lossless, written by libjxl 0.11.
_JPEG_XL = bytes.fromhex(
    "ff0a10501009080001002c014b188b15525cd39adcef108d31f96ad1e27fa58cb4b8403c0079dcb0c6fdfebadcc754ff2d5ef48dd864eb86e9"
    "5ed9589e2a67771e4dd33e1996c9541c2e257493464a80d759d356341208"
)
_JPEG_XL_PIXELS = [
    [[71, 44, 0], [64, 50, 64], [69, 74, 200], [176, 161, 191], [245, 216, 169]],
    [[112, 124, 85], [102, 109, 121], [88, 99, 189], [101, 179, 208], [115, 234, 212]],
    [[152, 204, 181], [139, 167, 178], [106, 123, 178], [26, 197, 224], [0, 251, 255]],
]


def _boxed(codestream: bytes) -> bytes:
    """Returns the same image in a container with two boxes."""
    boxes = [(b"ftyp", b"jxl \0\0\0\0jxl "), (b"jxlp", bytes(4) + codestream[:30])]
    boxes.append((b"jxlp", b"\x80\0\0\1" + codestream[30:]))
    joined = b"".join(struct.pack(">I4s", 8 + len(data), kind) + data for kind, data in boxes)
    return b"\0\0\0\x0cJXL \x0d\x0a\x87\x0a" + joined


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "boxed"])
def test_jpeg_xl(wrapped):
    encoded = _boxed(_JPEG_XL) if wrapped else _JPEG_XL
    assert _ours(encoded).tolist() == _JPEG_XL_PIXELS
    assert acceptance.reject_reason(encoded) is None
    assert formats.read_header(encoded) == formats.Header("JPEG XL", 3, 5)


def test_16_bit_png_keeps_its_high_byte():
    levels = np.arange(0, 65536, 256).astype(np.uint16).reshape(16, 16)
    assert (_ours(_encode(Image.fromarray(levels), "PNG"))[..., 0] == levels >> 8).all()


def test_an_animated_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    encoded = _encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (_ours(encoded) == (255, 0, 0)).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    encoded = _encode(_picture(), kind, exif=exif, **options)
    assert decode.exif_orientation(encoded) == orientation
    assert (_ours(encoded) == _pillow(encoded)).all()


def test_an_image_with_broken_metadata_is_kept():
    encoded = _encode(_picture(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode.exif_orientation(encoded) == 1
    assert acceptance.reject_reason(encoded) is None


def _png_claiming(width: int, height: int) -> bytes:
    encoded = bytearray(_encode(_picture(), "PNG"))
    encoded[16:24] = struct.pack(">II", width, height)
    return bytes(encoded)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"", "empty file"),
        (b"hello, this is text", "not an image"),
        (_encode(_picture(), "TIFF"), "TIFF is not a supported format"),
        (b"\0\0\0\x18ftypheic" + bytes(50), "HEIC, AVIF and video files are not supported"),
        (_encode(_picture(), "JPEG")[:100], "broken JPEG header"),
        (_encode(_picture(), "JPEG")[:-300], "does not decode: jpeg::Uncompress failed"),
        (_encode(_picture(), "PNG")[:20], "broken PNG header"),
        (_encode(_picture(), "PNG")[:-200], "does not decode: Invalid PNG data"),
        (_encode(_picture("P"), "BMP"), "BMP with a palette or compression is not supported"),
        (_png_claiming(20_000, 20_000), "20000 x 20000 pixels are more than 300 MB decoded"),
        (_png_claiming(0, 5), "broken PNG header"),
    ],
)
def test_unusable_images_are_rejected_with_the_reason(encoded, reason):
    assert str(acceptance.reject_reason(encoded)).startswith(reason)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_completed_if_asked_for(progressive):
    whole = _encode(_picture(size=(64, 96)), "JPEG", quality=95, progressive=progressive)
    truncated = whole[: len(whole) * 9 // 10]
    assert "does not decode" in str(acceptance.reject_reason(truncated))
    completed = acceptance.complete_jpeg(truncated)
    assert completed is not None and acceptance.reject_reason(completed) is None
    assert np.abs(_ours(completed) - _ours(whole))[:40].max() <= 60
    assert acceptance.complete_jpeg(whole[:100]) is None
    assert acceptance.complete_jpeg(_encode(_picture(), "PNG")[:-200]) is None


def test_all_frames_of_an_animation_count_towards_its_decoded_size():
    frames = [Image.effect_noise((2000, 1500), 20 + number).convert("P") for number in range(3)]
    encoded = bytearray(_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert formats.read_header(bytes(encoded)).decoded_bytes == (4 + 3) * 2000 * 1500
    place = encoded.index(b"\x2c\0\0\0\0" + struct.pack("<HH", 2000, 1500), len(encoded) // 2)
    encoded[place + 5 : place + 9] = b"\xff\xff\xff\xff"
    assert "more than 300 MB decoded" in str(acceptance.reject_reason(bytes(encoded)))


def test_alpha_is_laid_over_white_in_bands(monkeypatch):
    encoded = _encode(_picture("RGBA"), "PNG")
    whole = _ours(encoded)
    monkeypatch.setattr(decode, "_PIXELS_AT_ONCE", 4 * 37)
    assert (_ours(encoded) == whole).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}], ids=["", "lossless"])
def test_the_header_tells_format_and_size(kind, options):
    header = formats.read_header(_encode(_picture(), kind, **options))
    assert (header.format.upper(), header.height_px, header.width_px) == (kind, 25, 37)


def test_an_animated_webp_is_rejected_and_the_process_survives():
    program = """
import io, sys
from PIL import Image
from seer_tf.data.images import acceptance, decode
for mode in ("RGB", "RGBA"):
    frames = [Image.new(mode, (64, 64), color) for color in ("red", "blue")]
    encoded = io.BytesIO()
    frames[0].save(encoded, "WEBP", save_all=True, append_images=frames[1:])
    print(acceptance.reject_reason(encoded.getvalue()))
    try:
        print(decode.decode_image(encoded.getvalue()).shape)
    except Exception as error:
        print(type(error))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[::2] == ["an animated WebP is not supported"] * 2


_MUTATIONS = """
import resource, sys
import numpy as np
import tensorflow as tf
from seer_tf.data.images import acceptance, decode
from tests.data.images.decode_test import good_files
files, rng = good_files(), np.random.default_rng(5)
tf.io.decode_jpeg(files[0])
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rejected = 0
for number in range(int(sys.argv[1])):
    encoded = bytearray(files[rng.integers(len(files))])
    if number % 3 == 0:
        del encoded[rng.integers(len(encoded)) :]
    elif number % 3 == 1:
        # The header is a small part of a file and the one that does most harm, so half of the bytes lie there.
        places = rng.integers(0, np.where(rng.random(rng.integers(1, 9)) < 0.5, 64, len(encoded)))
        for place in places:
            encoded[place % len(encoded)] ^= 1 << rng.integers(8)
    else:
        other = files[rng.integers(len(files))]
        encoded[rng.integers(len(encoded)) :] = other[rng.integers(len(other)) :]
    encoded = bytes(encoded)
    reason = acceptance.reject_reason(encoded)
    rejected += reason is not None
    if reason is None:
        decode.decode_image(tf.constant(encoded), decode.exif_orientation(encoded))
print(rejected, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) // 1024)
"""


def good_files() -> list[bytes]:
    """One file of each kind. The mutations start from these files."""
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [_picture("P", size) for size in ((37, 25), (37, 25))]
    return [
        *(make() for make in (*_EXACT.values(), *_NEAR.values())),
        _encode(_picture(), "JPEG", exif=exif),
        _encode(Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)), "PNG"),
        _encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        _JPEG_XL,
    ]


@pytest.mark.parametrize("num", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutations_crash_nothing_and_stay_within_a_gibibyte(num):
    done = subprocess.run(
        [sys.executable, "-c", _MUTATIONS, str(num)],
        capture_output=True,
        text=True,
        timeout=num / 4,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rejected, grown_mib = map(int, done.stdout.split())
    assert num / 4 < rejected < num
    assert grown_mib < 1024


def test_transparent_pixels_of_a_gif_become_black():
    """The documentation states this exception: transparent pixels of a GIF become black."""
    palette = Image.new("P", (8, 6), 1)
    palette.putpalette([200, 100, 50] * 256)
    palette.putpixel((3, 2), 5)
    assert not _ours(_encode(palette, "GIF", transparency=5))[2, 3].any()


@pytest.mark.parametrize("largest", [0, 200, 255, 256, 1023, 4095, 32767, 32768, 65535])
def test_the_eight_highest_used_bits_of_16_are_kept(largest):
    """The images are grey, or in colour with one dark channel."""
    levels = np.linspace(0, largest, 400).astype(np.uint16).reshape(20, 20)
    expected = levels >> max(0, largest.bit_length() - 8)
    assert (_ours(_encode(Image.fromarray(levels), "PNG")) == expected[..., None]).all()
    colour = np.stack([levels // 300, levels, levels // 2], axis=-1)
    encoded = tf.io.encode_png(colour).numpy()
    assert (_ours(encoded) == colour >> max(0, largest.bit_length() - 8)).all()


@pytest.mark.skipif(not _IMAGES.exists(), reason="needs the development images in ../shared/images")
def test_wild_photos_equal_pillows():
    """Two in a hundred pixels may differ, by at most two levels."""
    paths = sorted((_IMAGES / "wild_photos").iterdir(), key=lambda path: path.stat().st_size)[:40:4]
    rotated = [path for path in sorted((_IMAGES / "wild_photos").iterdir()) if "iPhone 4" in path.name]
    for path in [*paths, *rotated]:
        encoded = path.read_bytes()
        difference = np.abs(_ours(encoded) - _pillow(encoded))
        assert difference.max() <= 2 and (difference > 0).mean() < 0.02, path.name


@pytest.mark.skipif(not _IMAGES.exists(), reason="needs the development images in ../shared/images")
def test_a_messy_folder_crashes_nothing_and_what_is_accepted_decodes():
    program = f"""
import collections, pathlib
import tensorflow as tf
from seer_tf.data.images import acceptance, decode
reasons = collections.Counter()
for path in sorted(pathlib.Path({str(_IMAGES / "messy")!r}).iterdir()):
    encoded = path.read_bytes()
    reason = acceptance.reject_reason(encoded)
    reasons[reason is None] += 1
    if reason is None:
        decode.decode_image(tf.constant(encoded), decode.exif_orientation(encoded))
print(reasons[True], reasons[False])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    accepted, rejected = map(int, done.stdout.split())
    assert accepted + rejected == len(list((_IMAGES / "messy").iterdir()))
    assert accepted > 80 and rejected > 20
