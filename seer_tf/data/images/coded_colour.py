"""Colours that a file states by two numbers, for primaries and for the curve (ITU-T H.273, tables 2 and 3).

PNG (cICP), AVIF, HEIC and JPEG XL use these numbers. The curves of television cameras (1, 6, 14, 15) count as the curve
of sRGB, since images with them are made on screens and for screens. Light brighter than white paper, 203 cd/m2 in PQ
and a level of 75 % in HLG (ITU-R BT.2408), is clipped; the curve of HLG is that of a screen of 1,000 cd/m2.
"""

import functools

import numpy as np

from seer_tf.data.images import written_profile

D65, DCI, _C = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316)
SRGB_PRIMARIES, SRGB_CURVE, LINEAR = 1, 13, 8
#: Name, and x and y of white, red, green and blue.
PRIMARIES = {
    SRGB_PRIMARIES: ("sRGB", written_profile.SRGB),
    4: ("BT.470 M", (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: ("BT.470 BG", (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: ("SMPTE 170M", (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: ("SMPTE 240M", (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    8: ("film", (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: ("Rec. 2020", (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    11: ("DCI-P3", (*DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: ("Display P3", (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: ("EBU 3213", (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}
_PAPER_CD, _HLG_PAPER = 203.0, 0.75

#: Name and function; the curve of sRGB needs no name.
NamedCurve = tuple[str | None, written_profile.Curve]


@functools.lru_cache(maxsize=256)
def profile(primaries: int, curve: int, *, is_grey: bool = False) -> bytes | None:
    """Returns the profile of colours by their numbers in H.273; None for unspecified and unknown ones."""
    if primaries not in PRIMARIES or curve not in CURVES:
        return None
    return described(PRIMARIES[primaries][1], CURVES[curve], is_grey=is_grey)


def described(chromaticities: tuple[float, ...], curve: NamedCurve, *, is_grey: bool) -> bytes:
    """Returns the profile of x and y of white, red, green and blue and of a curve; the name tells both."""
    name = next((name for name, known in PRIMARIES.values() if known == chromaticities), "primaries of its own")
    curve_name, light = curve
    full_name = ", ".join(filter(None, (name, curve_name)))
    if is_grey:
        return written_profile.grey(full_name, light)
    return written_profile.rgb(full_name, light, chromaticities)


def _pq(levels: np.ndarray) -> np.ndarray:
    """Returns the light of SMPTE ST 2084, 1 for white paper."""
    powers = levels ** (32 / 2523)
    light = (np.maximum(powers - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * powers)) ** (16384 / 2610)
    return np.minimum(1, 10_000 / _PAPER_CD * light)


def _hlg(levels: np.ndarray) -> np.ndarray:
    """Returns the light of ARIB STD-B67, 1 for white paper."""
    return np.minimum(1, _hlg_screen(levels) / _hlg_screen(np.array(_HLG_PAPER)))


def _hlg_screen(levels: np.ndarray) -> np.ndarray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(levels <= 0.5, levels**2 / 3, (np.exp((levels - c) / a) + b) / 12)
    return scene**1.2


CURVES: dict[int, NamedCurve] = {
    **dict.fromkeys((1, 6, SRGB_CURVE, 14, 15), (None, written_profile.srgb_curve)),
    4: ("gamma 2.2", written_profile.gamma_curve(2.2)),
    5: ("gamma 2.8", written_profile.gamma_curve(2.8)),
    LINEAR: ("linear", written_profile.gamma_curve(1.0)),
    16: ("PQ", _pq),
    17: ("gamma 2.6", written_profile.gamma_curve(2.6)),
    18: ("HLG", _hlg),
}
