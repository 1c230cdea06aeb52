"""Colour profiles (ICC.1) for colours that a file describes by numbers instead of a profile."""

import struct
from collections.abc import Callable, Mapping

import numpy as np

#: x and y of white, red, green and blue.
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_D50 = np.array((0.9642, 1.0, 0.8249))
_BRADFORD = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
_CURVE_POINTS = 1024

#: A function from levels, 0 to 1, to light, 0 to 1.
Curve = Callable[[np.ndarray], np.ndarray]


def rgb(name: str, curve: Curve, chromaticities: tuple[float, ...] = SRGB) -> bytes:
    """Returns a profile of colours with one curve and the x and y of white, red, green and blue."""
    matrix = _to_d50(chromaticities)
    tags = {f"{channel}XYZ": xyz(matrix[:, number]) for number, channel in enumerate("rgb")}
    return icc("RGB ", name, tags | {f"{channel}TRC": _table(curve) for channel in "rgb"})


def grey(name: str, curve: Curve) -> bytes:
    """Returns a profile of grey levels with a curve."""
    return icc("GRAY", name, {"kTRC": _table(curve)})


def are_colours(chromaticities: tuple[float, ...]) -> bool:
    """Whether x and y of white, red, green and blue are those of light, and not of one line."""
    area = np.linalg.det([(1.0, x, y) for x, y in zip(chromaticities[2::2], chromaticities[3::2], strict=True)])
    return min(chromaticities[1::2]) > 0 and abs(area) > 0.01 and max(chromaticities) <= 1


def srgb_curve(levels: np.ndarray) -> np.ndarray:
    """Returns the light of levels in sRGB (IEC 61966-2-1)."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def gamma_curve(exponent: float) -> Curve:
    """Returns the curve whose light is a power of the levels."""
    return lambda levels: levels**exponent


def _to_d50(chromaticities: tuple[float, ...]) -> np.ndarray:
    """Returns the matrix from linear levels to XYZ. Bradford's matrix adapts white to that of profiles."""
    places = zip(chromaticities[::2], chromaticities[1::2], strict=True)
    white, *colors = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in places)
    columns = np.stack(colors, axis=1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD
    return adaptation @ (columns * np.linalg.solve(columns, white))


def _table(curve: Curve) -> bytes:
    """Returns a curve as a table."""
    table = np.rint(65535 * curve(np.linspace(0, 1, _CURVE_POINTS))).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", _CURVE_POINTS) + table


def icc(space: str, name: str, tags: Mapping[str, bytes]) -> bytes:
    """Returns the file of a profile with these tags, in a space of colours, a name of four letters."""
    described = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + bytes(79)
    everything = {"desc": described, "cprt": b"text\0\0\0\0CC0\0", "wtpt": xyz(_D50), **tags}
    table, body = struct.pack(">I", len(everything)), b""
    start = 128 + 4 + 12 * len(everything)
    for tag, data in everything.items():
        table += tag.encode() + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x", start + len(body), b"none", 0x02400000, b"mntr", space.encode(), b"XYZ ", b"acsp"
    )
    return head + struct.pack(">3i", *_fixed(_D50)) + bytes(48) + table + body


def xyz(values: np.ndarray) -> bytes:
    """Returns the tag of a colour, XYZ [3]."""
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *_fixed(values))


def _fixed(values: np.ndarray) -> list[int]:
    return [round(65536 * value) for value in values]
