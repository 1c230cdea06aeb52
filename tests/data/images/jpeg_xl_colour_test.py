"""JPEG XL with wide colours becomes sRGB, and what only a plugin unpacks is counted."""

import base64
import itertools
import logging
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images import conversion, decode, formats, jpeg_xl_colour, profiles
from seer_tf.data.sources import image_files
from tests.data.images import icc

# Written by cjxl 0.7.0: `_picture`, lossless, with `-x color_space=RGB_D65_DCI_Per_SRG` or `RGB_D65_202_Rel_PeQ`, and
# with profiles of `icc.py` (Display P3 of gamma 2.2, grey of gamma 1.8); `_patches` with `-d 0.5` and a profile.
_FILES = {
    "Display P3": (
        "/woYQBCQyYUIAgEAmAFLGIsVUlx7N0dHV19RFBg5UJ05m5sQRgdAgQX0kOzEe98zhCUOOS+iOfTCx1RkM4yZu/N99JiApBke0A12QiPj"
        "+QuXytuK7MCb/kkcW1V3CK9SpP7UaxKoKhYbsSrmpdvoaOmpxQU="
    ),
    "PQ": (
        "/woYQAEE5NEjDgcAAACACAIBAJgBSxiLFVJcezdHR1dfURQYOVCdOZubEEYHQIEF9JDsxHvfM4QlDjkvojn0wsdUZDOMmbvzffSYgKQZ"
        "HtANdkIj4/kLl8rbiuzAm/5JHFtVdwivUqT+1GsSqCoWG7Eq5qXb6GjpqcUF"
    ),
    "with alpha": (
        "/woYQLAgkwsBCAgQAPQBSxiLFcIRTBVR018DOQAJAFAtiV0kHyPGdMkrzJegcexNylGTT79fzg7H9ZEvicCUA4W5kYGKEevzLkAG1wvz"
        "Acj0npTjNhQNxYVUUn7WXoukSsUlRFkpPLPew4Gy/l9Hb0S7jN+jhd0EjGy51Ci8DjXuQ2TvBTc5914FgAE="
    ),
    "packed": (
        "/woYQBDCocKAhHkAbKpkCOE8r2NVvb5y+6aRUOGVT6LQNjx1l7L6OIy8nkZm50YFu1KH0cOtGrwbD3Hzxk2pPwCfgBIjStzwX5xyJQ2Z"
        "ko8hQ4aFgHatFIDTbeDAL2z359+/f3cQxR8Y2wsjc7BoMdyYgUhzQLWd8OsZCAIBAJgBSxiLFVJcezdHR1dfURQYOVCdOZubEEYHQIEF"
        "9JDsxHvfM4QlDjkvojn0wsdUZDOMmbvzffSYgKQZHtANdkIj4/kLl8rbiuzAm/5JHFtVdwivUqT+1GsSqCoWG7Eq5qXb6GjpqcUF"
    ),
    "grey, packed": (
        "/woYQBBG8wckzANgSxcK9DOvo+egEo+9Tqi0yidRyjHsdIzZqGAr1Yy2agAQN2/clPoD8ML6zP/NfBglRpS44Vt0OSKnTM7PkCHDhYB2"
        "rRQPTm8DqmwCCAIBAJwASxiLFVJcTncCCAGBFKj3bq/ZawE4+0GYuGgbiv7AVaw8PasOqQcM"
    ),
    "lossy, packed": (
        "/woDQQqHCgMS5gGwqZIhhPO8jlX1+srtm0ZChVc+iULb8NRdyurjMPJ6GpmdGxXsSh1GD7dq8G48xM0bN6X+AHwCSowoccN/ccqVNGRK"
        "PoYMGRYC2rVSAE63gQO/sN2ff//+3UEUf2BsL4zMwaLFcGMGIs0B1XbCr2cAEogAeAMPsEgBAFChMsq4wcu5ni8/dFhM27jO0FbbFpYk"
        "ioxjk3QChySxEIi3VfQQIOEvPw8xH0HZNOR3yl3JRS5Razm71rLHvnTYRvYmQquFAUCFFEhrW5UiqUsGxYsxk0ggAwD1NaUgnfMoype0"
        "HkELt7mDnJII4XJVUjEM6PL0wUz9VGP4JQrMcvc1+etzlJn1E1hWz7W5D7eru3m6QcnJ8hb70hG84LS5XqPFF2wuzd1OkSEOUNevBLCZ"
        "bD1gEQZ4CMfiBW9bcPEDn5/pDuRAPssf1A+fM3CyAZcuQCgQyIs="
    ),
}


def _file(name: str) -> bytes:
    return base64.b64decode(_FILES[name])


def _picture() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (4, 6, 3), np.uint8)


def _patches() -> np.ndarray:
    return np.random.default_rng(7).integers(40, 216, (2, 3, 3), np.uint8).repeat(8, 0).repeat(8, 1)


def _pixels(encoded: bytes) -> np.ndarray:
    return decode.decode_image(tf.constant(encoded)).numpy().astype(int)


def _linear(levels: np.ndarray) -> np.ndarray:
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _converted(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, conversion.Prepared]:
    """Returns the pixels in shards; stored as PNG, since a JPEG moves colours in pictures of noise."""
    monkeypatch.setattr(conversion, "_LOSSY", frozenset())
    prepared = conversion.prepared(_file(name))
    return _pixels(prepared.encoded), prepared


def test_display_p3_by_numbers_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    found, prepared = _converted("Display P3", monkeypatch)
    light = _linear(_picture() / 255)  # gamma 1 of `to_srgb` leaves light alone
    expected = icc.to_srgb(255 * light, icc.DISPLAY_P3, 1.0)
    assert np.abs(found - expected).max() <= 1.5 and np.abs(_picture() - expected).mean() > 5
    assert prepared.done == ("converted to sRGB: Display P3", "JPEG XL stored as PNG")
    assert prepared.found["profile"] == "Display P3"


def test_pq_clips_what_is_brighter_than_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    found, prepared = _converted("PQ", monkeypatch)
    powers = (_picture() / 255) ** (32 / 2523)
    nits = 10_000 * (np.maximum(powers - 0.8359375, 0) / (18.8515625 - 18.6875 * powers)) ** (1 / 0.1593017578125)
    primaries = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
    expected = icc.to_srgb(255 * np.minimum(1, nits / 203), primaries, 1.0)
    assert np.quantile(np.abs(found - expected), 0.9) <= 2 and np.abs(_picture() - expected).mean() > 30
    assert prepared.found["profile"] == "Rec. 2020, PQ"


def test_fields_before_the_colours_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel of alpha stands before them."""
    _, prepared = _converted("with alpha", monkeypatch)
    assert prepared.done[0] == "converted to sRGB: Display P3"


def test_a_lossy_file_with_a_packed_profile_decodes_to_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow returns linear levels, 50 levels away from the picture in the mean."""
    found, prepared = _converted("lossy, packed", monkeypatch)
    expected = icc.to_srgb(_patches(), icc.DISPLAY_P3, 2.2)
    assert np.abs(found - expected).mean() < 4
    assert np.abs(_pixels(_file("lossy, packed")) - expected).mean() > 30
    assert prepared.found["profile"] == "sRGB, linear"


@pytest.mark.parametrize("name", ["packed", "grey, packed"])
def test_a_packed_profile_is_counted_without_the_plugin(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Image.OPEN, "JXL", raising=False)
    monkeypatch.setattr(jpeg_xl_colour.plugins, "register", lambda: None)
    prepared = conversion.prepared(_file(name))
    assert prepared.encoded == _file(name) and prepared.done == ()
    assert prepared.found["profile"] == "a profile packed in JPEG XL, ignored without pip install pillow-jxl-plugin"


def test_files_without_shards_count_the_profile(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name in _FILES:
        (tmp_path / f"{name}.jxl").write_bytes(_file(name))
    with caplog.at_level(logging.WARNING):
        usable, _ = image_files.find_usable_files("folder:x", str(tmp_path), [f"{name}.jxl" for name in _FILES])
    assert len(usable) == len(_FILES)
    assert "the colour profiles of 6 images are not applied (Display P3 2" in caplog.text
    assert "make shards of the images (prepare_shards)" in caplog.text


def test_the_plugin_unpacks_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_jxl", reason="install pillow-jxl-plugin to test this")
    found, prepared = _converted("packed", monkeypatch)
    assert np.abs(found - icc.to_srgb(_picture(), icc.DISPLAY_P3, 2.2)).max() <= 2
    assert prepared.found["profile"] == "Wide"


def _header(*fields: tuple[int, int]) -> bytes:
    """Returns a codestream of 8 x 8 px with fields (value, bits) from the first of the metadata on."""
    whole, place = 0, 0
    for value, count in ((1, 1), (0, 5), (1, 3), *fields):
        whole, place = whole | value << place, place + count
    return b"\xff\x0a" + whole.to_bytes(128, "little")


# Not all default, no further fields, 8 bits a sample, small buffers, no further channel, not lossy, colours given.
_UP_TO_COLOURS = ((0, 1), (0, 1), (0, 1), (0, 2), (1, 1), (0, 2), (0, 1), (0, 1))


def _own(place: float) -> tuple[tuple[int, int], ...]:
    """Returns the fields of a number of a colour's place."""
    packed = 2 * round(1e6 * place)
    selector, count, offset = next(
        row for row in ((0, 19, 0), (1, 19, 1 << 19), (2, 20, 1 << 20)) if packed < row[2] + (1 << row[1])
    )
    return (selector, 2), (packed - offset, count)


def test_places_and_gamma_of_their_own() -> None:
    places = [place for color in icc.DISPLAY_P3 for place in color]
    two = (2, 2), (0, 4)  # the code for places that stand in the file
    curve = (1, 1), (5_000_000, 24)
    fields = ((0, 1), (0, 2), (1, 2), *two, *itertools.chain.from_iterable(map(_own, places)), *curve)
    profile = jpeg_xl_colour.profile(_header(*_UP_TO_COLOURS, *fields))
    assert profile is not None and profiles.name(profile) == "Display P3, gamma 2"
    converted = profiles.to_srgb(Image.fromarray(_picture()), profile)
    assert converted is not None
    assert np.abs(np.asarray(converted) - icc.to_srgb(_picture(), icc.DISPLAY_P3, 2.0)).max() <= 1.5


@pytest.mark.parametrize(
    "fields",
    [
        [(1, 1)],  # all default
        [*_UP_TO_COLOURS[:-1], (1, 1)],  # default colours
        [*_UP_TO_COLOURS, (0, 1), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (11, 4)],  # sRGB by numbers
        [*_UP_TO_COLOURS, (0, 1), (0, 2), (1, 2), (1, 2), (0, 1), (2, 2), (0, 4)],  # an unknown curve
        [*_UP_TO_COLOURS, (0, 1), (2, 2), (0, 4)],  # a space of its own
    ],
)
def test_srgb_and_unknown_colours_keep_their_bytes(fields: list[tuple[int, int]]) -> None:
    profile = jpeg_xl_colour.profile(_header(*fields))
    assert profile is None or not profiles.changes_colours(profile)


def test_pieces_of_a_file_have_no_profile_or_the_same() -> None:
    for name in _FILES:
        whole, pieces = (
            profiles.embedded(_file(name)),
            {profiles.embedded(_file(name)[:length]) for length in range(60)},
        )
        assert pieces <= {None, whole}
        assert formats.read_header(_file(name)).format == "JPEG XL"
