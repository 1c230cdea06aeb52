"""The built-in image set: small pictures of scattered pieces on a patterned cloth, in classes that no single cue tells.

SwAV learns what all crops of an image share and other images do not. As in nature several cues each agree with the class
in part: a palette (two hues), a pattern (of the cloth) and a shape (of the pieces). Each class has its own palette, pattern and
shape, but in every image exactly one of the three is borrowed from another class: two agreeing cues always tell the class, one alone
does so in 50 % (palette) or 75 % (pattern, shape) of the images.

What makes the set honest: position, scale and rotation of pattern and pieces, background and light are drawn from the
same distributions for every class; light and background vary so much that colour histograms and thumbnails see little;
the test images come from other seeds; nothing but the second value of `render_image` tells the class.
"""

import colorsys
import io
import math

import numpy as np
from PIL import Image, ImageDraw

from seer_tf.errors import InputError

SIDE_PX = 48
PALETTES = (  # name, hue of the pattern, hue of the pieces; a shift of all hues leaves the gap between the two
    ("red", 0.00, 0.00),
    ("autumn", 0.00, 0.17),
    ("gift", 0.00, 0.50),
    ("green", 0.33, 0.33),
    ("lagoon", 0.33, 0.50),
    ("orchid", 0.33, 0.83),
    ("blue", 0.67, 0.67),
    ("harbour", 0.67, 0.17),
)
PATTERNS = ("stripes", "grid", "checks", "dots", "blotches", "grain", "zigzag", "rings")
SHAPES = ("disc", "ring", "square", "triangle", "cross", "star", "bar", "crescent")
NUM_CLASSES = len(SHAPES)
class_names: tuple[str, ...] = tuple(
    f"{palette[0]} {shape} on {pattern}" for palette, pattern, shape in zip(PALETTES, PATTERNS, SHAPES, strict=True)
)

_NUM_IMAGES = {"train": 5000, "test": 1000}
_SPLIT_SEEDS = {"train": 1, "test": 2}
_BORROWED_PROBABILITIES = (0.5, 0.25, 0.25)  # of palette, pattern, shape
_SUPERSAMPLING = 3


def num_images(split: str) -> int:
    """Returns the number of images of a split.

    Raises:
        InputError: the split is neither train nor test.
    """
    if split not in _NUM_IMAGES:
        raise InputError.unknown("split of the built-in images", split, _NUM_IMAGES)
    return _NUM_IMAGES[split]


def render_image(split: str, index: int) -> tuple[bytes, int]:
    """Renders one image of the set, always the same for the same arguments.

    Args:
        split: "train" or "test".
        index: of the image, from 0 to num_images(split) - 1.

    Returns:
        The bytes of a JPEG file of 48 x 48 px, and the class.

    Raises:
        InputError: the split or the index does not exist.
    """
    if not 0 <= index < num_images(split):
        raise InputError(f"the built-in split {split!r} has images 0 to {num_images(split) - 1}, but not {index}")
    rng = np.random.default_rng((_SPLIT_SEEDS[split], index))
    label = index % NUM_CLASSES
    palette, pattern, shape = _cues(rng, label)
    _, pattern_hue, piece_hue = PALETTES[palette]
    picture = _ground(rng)
    picture += _pattern(rng, PATTERNS[pattern]) * (_colour(rng, pattern_hue, value=0.45) - picture)
    picture += _pieces(rng, SHAPES[shape]) * (_colour(rng, piece_hue, value=0.88) - picture)
    picture = _lit(rng, picture)
    encoded = io.BytesIO()
    Image.fromarray((255 * picture).astype(np.uint8)).save(encoded, format="JPEG", quality=92)
    return encoded.getvalue(), label


def _cues(rng: np.random.Generator, label: int) -> list[int]:
    cues = [label] * 3
    borrowed = rng.choice(3, p=_BORROWED_PROBABILITIES)
    cues[borrowed] = (label + rng.integers(1, NUM_CLASSES)) % NUM_CLASSES
    return cues


def _colour(rng: np.random.Generator, hue: float, value: float) -> np.ndarray:
    hue, saturation, value = (hue + rng.normal(0, 0.02)) % 1, rng.uniform(0.7, 1), value + rng.uniform(-0.12, 0.12)
    return np.float32(colorsys.hsv_to_rgb(hue, saturation, value))


def _ground(rng: np.random.Generator) -> np.ndarray:
    """Returns the background: greyish tones that differ from corner to corner."""
    corners = rng.uniform(0.3, 0.9) + rng.normal(0, 0.08, (2, 2, 3))
    across = np.linspace(0, 1, SIDE_PX, dtype=np.float32)[:, None, None]
    top, bottom = (corners[row, 0] + across * (corners[row, 1] - corners[row, 0]) for row in (0, 1))
    return np.float32(top[:, 0][None] + across * (bottom[:, 0] - top[:, 0])[None])


def _pattern(rng: np.random.Generator, name: str) -> np.ndarray:
    """Returns how much of the pattern's colour each pixel has, of mean about one half."""
    angle, period_px = rng.uniform(0, 2 * math.pi), rng.uniform(7, 11)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float32) * (2 * math.pi / period_px)
    bend = rng.uniform(0, 0.8)
    x, y = x + bend * np.sin(y / 4 + rng.uniform(0, 6)), y + bend * np.sin(x / 4 + rng.uniform(0, 6))
    phase_u, phase_v = rng.uniform(0, 2 * math.pi, 2)
    u = math.cos(angle) * x + math.sin(angle) * y + phase_u
    v = math.cos(angle) * y - math.sin(angle) * x + phase_v
    if name == "stripes":
        height = np.sin(u)
    elif name == "grid":
        height = np.maximum(np.cos(u), np.cos(v)) - 0.6
    elif name == "checks":
        height = 2 * np.sin(u / 1.4) * np.sin(v / 1.4)
    elif name == "dots":
        height = np.cos(u) + np.cos(v) - 0.3
    elif name == "rings":
        height = 0.8 - np.abs(np.cos(u / 1.4) + np.cos(v / 1.4) - 0.6) * 1.5
    elif name == "zigzag":
        height = np.sin(u + 2.5 * np.abs(np.mod(v / 2, 2) - 1))
    else:
        height = _noise(rng, period_px * (0.7 if name == "blotches" else 0.2))
    return np.clip(0.5 + 1.5 * height, 0, 1)[..., None]


def _noise(rng: np.random.Generator, cell_px: float) -> np.ndarray:
    cells = max(2, round(SIDE_PX / cell_px))
    noise = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(noise.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def _pieces(rng: np.random.Generator, name: str) -> np.ndarray:
    """Returns which part of each pixel is covered by pieces of one shape, each in its own place, size and rotation."""
    side, cell = SIDE_PX * _SUPERSAMPLING, SIDE_PX * _SUPERSAMPLING / 3
    count = 9
    centre = np.indices((3, 3)).reshape(2, count).T * cell + rng.uniform(0.2, 0.8, (count, 2)) * cell
    radius, angle = rng.uniform(0.38, 0.55, count) * cell, rng.uniform(0, 2 * math.pi, count)
    cos, sin = radius * np.cos(angle), radius * np.sin(angle)
    turn = np.stack([np.stack([cos, sin], 1), np.stack([-sin, cos], 1)], 1)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for corners in (_OUTLINES[name] @ turn + centre[:, None]).reshape(count, -1).tolist():
        draw.polygon(corners, fill=255)
    return np.asarray(mask.reduce(_SUPERSAMPLING), np.float32)[..., None] / 255


def _lit(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Returns the picture under a light of random strength, tint and direction, with the noise of a camera."""
    angle = rng.uniform(0, 2 * math.pi)
    ramp = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    slope = math.cos(angle) * ramp[:, None] + math.sin(angle) * ramp
    light = rng.uniform(0.5, 1.2) * (1 + rng.uniform(0, 0.4) * slope[..., None]) * rng.uniform(0.85, 1.15, 3)
    noise = 0.03 * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture * np.float32(light) + noise, 0, 1)


def _around(radii: list[float], start: float = 0, stop: float = 2 * math.pi) -> np.ndarray:
    angles = np.linspace(start, stop, len(radii), endpoint=False)
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _outlines() -> dict[str, np.ndarray]:
    disc = _around([1.0] * 20)
    closed = np.concatenate([disc, disc[:1]])
    arm = 0.33
    corner = [(arm, 1), (arm, arm), (1, arm)]
    cross = [(x * sx, y * sy) for sx, sy in ((1, 1), (1, -1), (-1, -1), (-1, 1)) for x, y in corner[:: sx * sy]]
    return {
        "disc": disc * 0.85,
        "ring": np.concatenate([closed, closed[::-1] * 0.6]),
        "square": _around([1.1] * 4),
        "triangle": _around([1.2] * 3),
        "cross": np.array(cross),
        "star": _around([1.2, 0.45] * 5),
        "bar": np.array([(1.3, 0.25), (-1.3, 0.25), (-1.3, -0.25), (1.3, -0.25)]),
        "crescent": np.concatenate([_around([1.1] * 15, 0.3, 2 * math.pi - 0.3), (_around([0.85] * 15, 0.3, 6.0) + (0.45, 0))[::-1]]),
    }


_OUTLINES = _outlines()
