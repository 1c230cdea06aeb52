"""The colour profile (ICC.1) that the chunks gAMA and cHRM of a PNG stand for, where no other chunk goes before them.

A gamma within 5 % of 1 / 2.2 stands for the curve of sRGB, as in libpng; without cHRM the primaries are those of sRGB.
"""

import struct
from collections.abc import Mapping

import numpy as np

from seer_tf.data.images import formats

#: These say more, so that the two chunks do not count (PNG, 13.14).
_STRONGER = (b"cICP", b"iCCP", b"sRGB")
_GREY_COLOR_TYPES = (0, 4)
_UNIT = 100_000
_SRGB_GAMMA, _TOLERANCE = 1 / 2.2, 0.05
_GAMMAS = (0.1, 10.0)
#: x and y of white, red, green and blue.
_SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
_D50 = np.array((0.9642, 1.0, 0.8249))
_BRADFORD = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
_CURVE_POINTS = 1024


def profile(encoded: bytes) -> bytes | None:
    """Returns the profile; None without one of the two chunks, or if their numbers are of no use.

    Args:
        encoded: The file or its beginning; chunks that reach beyond it do not count.
    """
    chunks = {name: encoded[start:end] for name, start, end in formats.png_chunks(encoded) if end <= len(encoded)}
    if not {b"gAMA", b"cHRM"} & chunks.keys() or any(name in chunks for name in _STRONGER):
        return None
    gamma, primaries = _gamma(chunks.get(b"gAMA")), _primaries(chunks.get(b"cHRM"))
    if gamma is None and primaries is None:
        return None
    curve = _curve(gamma or _SRGB_GAMMA)
    names = [f"gAMA={gamma:g}"] if gamma else []
    name = ", ".join(names + (["cHRM"] if primaries else []))
    if encoded[25] in _GREY_COLOR_TYPES:
        return _icc("GRAY", name, {"kTRC": curve})
    matrix = _to_d50(primaries or _SRGB)
    tags = {f"{channel}XYZ": _xyz(matrix[:, number]) for number, channel in enumerate("rgb")}
    return _icc("RGB ", name, tags | {f"{channel}TRC": curve for channel in "rgb"})


def _gamma(chunk: bytes | None) -> float | None:
    """Returns the exponent from light to levels."""
    gamma = struct.unpack(">I", chunk)[0] / _UNIT if chunk is not None and len(chunk) == 4 else 0.0
    return gamma if _GAMMAS[0] <= gamma <= _GAMMAS[1] else None


def _primaries(chunk: bytes | None) -> tuple[float, ...] | None:
    """Returns x and y of white, red, green and blue; None if they make no colours."""
    if chunk is None or len(chunk) != 32:
        return None
    found = tuple(value / _UNIT for value in struct.unpack(">8I", chunk))
    area = np.linalg.det([(1.0, x, y) for x, y in zip(found[2::2], found[3::2], strict=True)])
    return found if min(found[1::2]) > 0 and abs(area) > 0.01 and max(found) <= 1 else None


def _to_d50(primaries: tuple[float, ...]) -> np.ndarray:
    """Returns the matrix from linear levels to XYZ. Bradford's matrix adapts white to that of profiles."""
    places = zip(primaries[::2], primaries[1::2], strict=True)
    white, *colors = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in places)
    columns = np.stack(colors, axis=1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD
    return adaptation @ (columns * np.linalg.solve(columns, white))


def _curve(gamma: float) -> bytes:
    """Returns the curve from levels to light as a table."""
    levels = np.linspace(0, 1, _CURVE_POINTS)
    light = levels ** (1 / gamma)
    if abs(gamma / _SRGB_GAMMA - 1) <= _TOLERANCE:
        light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    table = np.rint(65535 * light).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", _CURVE_POINTS) + table


def _icc(space: str, name: str, tags: Mapping[str, bytes]) -> bytes:
    described = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name.encode() + bytes(79)
    everything = {"desc": described, "cprt": b"text\0\0\0\0CC0\0", "wtpt": _xyz(_D50), **tags}
    table, body = struct.pack(">I", len(everything)), b""
    start = 128 + 4 + 12 * len(everything)
    for tag, data in everything.items():
        table += tag.encode() + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x", start + len(body), b"none", 0x02400000, b"mntr", space.encode(), b"XYZ ", b"acsp"
    )
    return head + struct.pack(">3i", *_fixed(_D50)) + bytes(48) + table + body


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *_fixed(values))


def _fixed(values: np.ndarray) -> list[int]:
    return [round(65536 * value) for value in values]
