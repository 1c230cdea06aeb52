"""Colour profiles written by hand (ICC.1), and the sRGB values of their colours, computed with NumPy."""

import itertools
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from seer_tf.data.images import written_profile

DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65, _D50 = (0.3127, 0.3290), np.array((0.9642, 1.0, 0.8249))
_BRADFORD = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))


def rgb_profile(primaries: Sequence[tuple[float, float]], gamma: float, name: str = "Wide") -> bytes:
    """Returns a profile with three primaries, one gamma, and D65 as white."""
    matrix = _to_d50(primaries)
    tags = {f"{channel}XYZ": written_profile.xyz(matrix[:, number]) for number, channel in enumerate("rgb")}
    tags |= {f"{channel}TRC": _gamma(gamma) for channel in "rgb"}
    return _profile("RGB ", "XYZ ", name, tags)


def grey_profile(gamma: float) -> bytes:
    """Returns a profile of grey levels with a gamma."""
    return _profile("GRAY", "XYZ ", "Grey", {"kTRC": _gamma(gamma)})


def cmyk_profile(labs: Mapping[tuple[int, ...], Sequence[float]]) -> bytes:
    """Returns a profile with a table: one Lab colour for each of the sixteen mixtures of full and no ink."""
    colors = [labs[inks] for inks in itertools.product((0, 1), repeat=4)]
    table = bytes(round(level) for L, a, b in colors for level in (L * 2.55, a + 128, b + 128))
    identity = struct.pack(">9i", *(65536 * (number % 4 == 0) for number in range(9)))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    return _profile("CMYK", "Lab ", "Inks", {"A2B0": lut}, kind="prtr")


def to_srgb(levels: np.ndarray, primaries: Sequence[tuple[float, float]], gamma: float) -> np.ndarray:
    """Returns the sRGB values of levels uint8 `[..., 3]` with `rgb_profile`: float `[..., 3]` from 0 to 255."""
    linear = (levels / 255.0) ** gamma @ _to_d50(primaries).T @ np.linalg.inv(_to_d50(_SRGB)).T
    return _encoded(linear)


def lab_to_srgb(lab: Sequence[float]) -> np.ndarray:
    """Returns the sRGB values of a Lab colour: float `[3]` from 0 to 255."""
    level, a, b = lab
    y = (level + 16) / 116
    roots = np.array((y + a / 500, y, y - b / 200))
    xyz = _D50 * np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * 108 / 841)
    return _encoded(np.linalg.inv(_to_d50(_SRGB)) @ xyz)


def _encoded(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _to_d50(primaries: Sequence[tuple[float, float]]) -> np.ndarray:
    """Returns the matrix from linear levels to XYZ. Bradford's matrix adapts white from D65 to D50."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    white = np.array((_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]))
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD
    return adaptation @ (columns * np.linalg.solve(columns, white))


def _profile(space: str, connection: str, name: str, tags: Mapping[str, bytes], kind: str = "mntr") -> bytes:
    whole = written_profile.icc(space, name, tags)
    return whole[:12] + kind.encode() + space.encode() + connection.encode() + whole[24:]


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
