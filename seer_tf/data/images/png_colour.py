"""The colour profile (ICC.1) that the chunks cICP, or gAMA and cHRM, of a PNG stand for (PNG, 11.3.2 and 13.14).

A gamma within 5 % of 1 / 2.2 stands for the curve of sRGB, as in libpng; without cHRM the primaries are those of sRGB.
"""

import struct

from seer_tf.data.images import coded_colour, formats, written_profile

#: These say more than gAMA and cHRM, so that those do not count.
_STRONGER = (b"cICP", b"iCCP", b"sRGB")
_GREY_COLOR_TYPES = (0, 4)
_UNIT = 100_000
_SRGB_GAMMA, _TOLERANCE = 1 / 2.2, 0.05
_GAMMAS = (0.1, 10.0)


def coded_profile(encoded: bytes) -> bytes | None:
    """Returns the profile that cICP stands for, which goes before all others; None without one that is known.

    Args:
        encoded: The file or its beginning; chunks that reach beyond it do not count.
    """
    chunk = _chunks(encoded).get(b"cICP", b"")
    return coded_colour.profile(*chunk[:2], is_grey=_is_grey(encoded)) if len(chunk) == 4 else None


def profile(encoded: bytes) -> bytes | None:
    """Returns the profile; None without gAMA and cHRM, or if their numbers are of no use. Arguments as above."""
    chunks = _chunks(encoded)
    if not {b"gAMA", b"cHRM"} & chunks.keys() or any(name in chunks for name in _STRONGER):
        return None
    gamma, primaries = _gamma(chunks.get(b"gAMA")), _primaries(chunks.get(b"cHRM"))
    if gamma is None and primaries is None:
        return None
    is_srgb = gamma is None or abs(gamma / _SRGB_GAMMA - 1) <= _TOLERANCE
    curve = written_profile.srgb_curve if is_srgb else written_profile.gamma_curve(1 / (gamma or 1))
    names = [f"gAMA={gamma:g}"] if gamma else []
    name = ", ".join(names + (["cHRM"] if primaries else []))
    if _is_grey(encoded):
        return written_profile.grey(name, curve)
    return written_profile.rgb(name, curve, primaries or written_profile.SRGB)


def _chunks(encoded: bytes) -> dict[bytes, bytes]:
    return {name: encoded[start:end] for name, start, end in formats.png_chunks(encoded) if end <= len(encoded)}


def _is_grey(encoded: bytes) -> bool:
    return encoded[25] in _GREY_COLOR_TYPES


def _gamma(chunk: bytes | None) -> float | None:
    """Returns the exponent from light to levels."""
    gamma = struct.unpack(">I", chunk)[0] / _UNIT if chunk is not None and len(chunk) == 4 else 0.0
    return gamma if _GAMMAS[0] <= gamma <= _GAMMAS[1] else None


def _primaries(chunk: bytes | None) -> tuple[float, ...] | None:
    """Returns x and y of white, red, green and blue; None if they make no colours."""
    if chunk is None or len(chunk) != 32:
        return None
    found = tuple(value / _UNIT for value in struct.unpack(">8I", chunk))
    return found if written_profile.are_colours(found) else None
