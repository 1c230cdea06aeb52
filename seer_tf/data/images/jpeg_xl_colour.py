"""The colour profile of the pixels that a JPEG XL decodes to (ISO/IEC 18181-1, annex D: fields behind the size).

Most files describe their colours by numbers. A file with a packed profile (ICC) is decoded to linear sRGB if it is
lossy, and else to the colours of the profile, which only a plugin of Pillow unpacks.
"""

import io
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image

from seer_tf.data.images import coded_colour, jpeg_xl, plugins, written_profile

PACKED = "a profile packed in JPEG XL, ignored without pip install pillow-jxl-plugin"
_GREY, _XYB = 1, 2
_ALPHA, _SPOT, _FILTER = 0, 2, 5
_CUSTOM = 2
_WHITES = {1: coded_colour.D65, 10: (1 / 3, 1 / 3), 11: coded_colour.DCI}
_PRIMARIES = {code: coded_colour.PRIMARIES[code][1][2:] for code in (1, 9, 11)}
_GAMMA_UNIT, _PLACE_UNIT = 10_000_000, 1_000_000


class _Colours(NamedTuple):
    """The fields about colours, before the numbers.

    Attributes:
        is_lossy: Whether the decoder makes the pixels from other colours.
        is_packed: Whether a profile follows in place of numbers.
        is_grey: Whether the image is grey.
    """

    is_lossy: bool
    is_packed: bool
    is_grey: bool


def profile(encoded: bytes) -> bytes | None:
    """Returns the profile of the decoded pixels; None for sRGB, for unknown colours, and if it cannot be read.

    Args:
        encoded: The file or its beginning.

    Raises:
        IndexError, struct.error: The header ends early.
    """
    bits = jpeg_xl.header_bits(encoded)
    found = _read(bits)
    if found is None:
        return None
    if not found.is_packed:
        return _numbered(bits, is_grey=found.is_grey)
    if found.is_lossy:
        return coded_colour.profile(coded_colour.SRGB_PRIMARIES, coded_colour.LINEAR, is_grey=found.is_grey)
    return _unpacked(encoded)


def has_packed_profile(encoded: bytes) -> bool:
    """Whether a file is a JPEG XL whose pixels are those of a packed profile.

    Raises:
        IndexError, struct.error: The header ends early.
    """
    found = _read(jpeg_xl.header_bits(encoded)) if jpeg_xl.is_one(encoded) else None
    return found is not None and found.is_packed and not found.is_lossy


def _read(bits: jpeg_xl.Bits) -> _Colours | None:
    """Reads up to the numbers; None where all fields have their defaults, and for animations."""
    start = jpeg_xl.read_start(bits)
    if start.all_default or start.is_animated:
        return None
    _skip_depth(bits)
    bits.take(1)
    for _ in range(_chosen(bits, (0, 0), (0, 1), (4, 2), (12, 1))):
        _skip_channel(bits)
    is_lossy = bool(bits.take(1))
    if bits.take(1):
        return None
    is_packed, space = bool(bits.take(1)), _code(bits)
    return None if space == _XYB else _Colours(is_lossy, is_packed, space == _GREY)


def _numbered(bits: jpeg_xl.Bits, *, is_grey: bool) -> bytes | None:
    """Reads white, primaries and curve, and returns their profile."""
    white = _places(bits, _WHITES, 1)
    primaries = _PRIMARIES[1] if is_grey else _places(bits, _PRIMARIES, 3)
    curve = _curve(bits)
    if white is None or primaries is None or curve is None or not written_profile.are_colours((*white, *primaries)):
        return None
    return coded_colour.described((*white, *primaries), curve, is_grey=is_grey)


def _curve(bits: jpeg_xl.Bits) -> coded_colour.NamedCurve | None:
    if not bits.take(1):
        return coded_colour.CURVES.get(_code(bits))
    gamma = bits.take(24) / _GAMMA_UNIT
    return (f"gamma {1 / gamma:.3g}", written_profile.gamma_curve(1 / gamma)) if gamma > 0.1 else None


def _places(bits: jpeg_xl.Bits, known: Mapping[int, tuple[float, ...]], number: int) -> tuple[float, ...] | None:
    """Returns x and y of a number of colours, which have a code together or stand in the file."""
    code = _code(bits)
    return tuple(_place(bits) for _ in range(2 * number)) if code == _CUSTOM else known.get(code)


def _place(bits: jpeg_xl.Bits) -> float:
    packed = _chosen(bits, (19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))
    return (packed >> 1 if packed % 2 == 0 else -(packed >> 1) - 1) / _PLACE_UNIT


def _skip_depth(bits: jpeg_xl.Bits) -> None:
    if bits.take(1):
        _chosen(bits, (0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
    else:
        _chosen(bits, (0, 8), (0, 10), (0, 12), (6, 1))


def _skip_channel(bits: jpeg_xl.Bits) -> None:
    """Skips a channel beyond the colours."""
    if bits.take(1):
        return
    kind = _code(bits)
    _skip_depth(bits)
    _chosen(bits, (0, 0), (0, 3), (0, 4), (3, 1))
    bits.take(8 * _chosen(bits, (0, 0), (4, 0), (5, 16), (10, 48)))
    if kind == _ALPHA:
        bits.take(1)
    elif kind == _SPOT:
        bits.take(64)
    elif kind == _FILTER:
        _chosen(bits, (0, 1), (2, 0), (4, 3), (8, 19))


def _code(bits: jpeg_xl.Bits) -> int:
    return _chosen(bits, (0, 0), (0, 1), (4, 2), (6, 18))


def _chosen(bits: jpeg_xl.Bits, *choices: tuple[int, int]) -> int:
    """Returns a number in one of four ways: bits that follow, and what is added to them."""
    count, offset = choices[bits.take(2)]
    return offset + bits.take(count)


def _unpacked(encoded: bytes) -> bytes | None:
    """Returns the profile that Pillow's plugin unpacks; None without the plugin, or if the file is not whole."""
    plugins.register()
    if "JXL" not in Image.OPEN:
        return None
    try:
        with Image.open(io.BytesIO(encoded), formats=["JXL"]) as image:
            return image.info.get("icc_profile")
    except Exception:  # Plugins raise many kinds of errors on broken files.
        return None
