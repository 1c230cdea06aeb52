"""The built-in image set: pieces scattered on a patterned cloth, in classes that no single cue tells.

SwAV learns what all crops of an image share and other images do not. As in nature several cues agree with the class,
each in part. Every class has a palette (shared with one other class), a pattern of the cloth and a shape of the pieces,
and in every image exactly one of the three is borrowed from a class of another palette. The two that remain always tell
the class; the pattern alone or the shape alone agrees with it in 75 % of the images, the palette in 50 %.

What keeps the set honest:

- Position, scale and rotation of pattern and pieces, tone of the cloth and light are drawn without knowing the class.
- Colours drift inside each picture, and tone and light vary so much between pictures that histograms of colours and
  thumbnails see little of the class.
- The test images come from other seeds. Nothing in the files tells the class; only evaluation is given it.
"""

import dataclasses
import io
import math

import numpy as np
from PIL import Image, ImageDraw

from seer_tf.errors import InputError

SIDE_PX = 48
HUES = {"red": 0.0, "green": 0.25, "blue": 0.5, "violet": 0.75}
PALETTES = ("red", "green", "blue", "violet") * 2
PATTERNS = ("stripes", "grid", "checks", "dots", "blotches", "grain", "zigzag", "rings")
SHAPES = ("disc", "ring", "square", "triangle", "cross", "star", "bar", "crescent")
NUM_CLASSES = len(PALETTES)

class_names: tuple[str, ...] = tuple(
    f"{palette} {shape} on {pattern}" for palette, pattern, shape in zip(PALETTES, PATTERNS, SHAPES, strict=True)
)


@dataclasses.dataclass(frozen=True)
class Scene:
    """All of a picture that has nothing to do with its class.

    Attributes:
        cloth_hsv: hue, saturation and value of the bare cloth, in 0..1.
        drifts: float64 [3, 3, 3, 3], by how much hue, saturation and value depart at 3 x 3 places of the cloth, of its
            pattern and of the pieces, in units of their spreads.
        period_px: of the pattern.
        pattern_angle: in radians.
        phases: float64 [2], of the pattern's two waves, in radians.
        centres: float64 [9, 2], of the pieces, as fractions of the picture.
        radii: float64 [9], of the pieces, as fractions of the picture.
        angles: float64 [9], of the pieces, in radians.
        light: float64 [3], by which red, green and blue are multiplied in the middle of the picture.
        light_slope: float64 [2], change of the light per half picture downwards and to the right.
    """

    cloth_hsv: tuple[float, float, float]
    drifts: np.ndarray
    period_px: float
    pattern_angle: float
    phases: np.ndarray
    centres: np.ndarray
    radii: np.ndarray
    angles: np.ndarray
    light: np.ndarray
    light_slope: np.ndarray


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
    scene = draw_scene(rng)
    label = index % NUM_CLASSES
    palette, pattern, shape = draw_cues(rng, label)
    hue = HUES[PALETTES[palette]]
    picture = _tones(scene.drifts[0], scene.cloth_hsv, hue_spread=0.5)
    picture += _pattern(rng, scene, PATTERNS[pattern]) * (_tones(scene.drifts[1], (hue, 0.8, 0.15)) - picture)
    picture += _pieces(scene, SHAPES[shape]) * (_tones(scene.drifts[2], (hue, 0.65, 0.95)) - picture)
    encoded = io.BytesIO()
    Image.fromarray(_photograph(rng, scene, picture)).save(encoded, format="JPEG", quality=92)
    return encoded.getvalue(), label


def draw_scene(rng: np.random.Generator) -> Scene:
    """Returns a random scene; it is drawn before the class is looked at."""
    num = _PIECES_PER_SIDE**2
    places = np.indices((_PIECES_PER_SIDE, _PIECES_PER_SIDE)).reshape(2, num).T
    direction = rng.uniform(0, 2 * math.pi)
    return Scene(
        cloth_hsv=(rng.random(), 0.12, rng.uniform(0.45, 0.75)),
        drifts=rng.standard_normal((3, 3, 3, 3)),
        period_px=rng.uniform(7, 11),
        pattern_angle=rng.uniform(0, 2 * math.pi),
        phases=rng.uniform(0, 2 * math.pi, 2),
        centres=(places + rng.uniform(0.25, 0.75, (num, 2))) / _PIECES_PER_SIDE,
        radii=rng.uniform(0.38, 0.48, num) / _PIECES_PER_SIDE,
        angles=rng.uniform(0, 2 * math.pi, num),
        light=rng.uniform(0.65, 1.2) * rng.uniform(0.85, 1.15, 3),
        light_slope=rng.uniform(0, 0.4) * np.array([math.cos(direction), math.sin(direction)]),
    )


def draw_cues(rng: np.random.Generator, label: int) -> tuple[int, int, int]:
    """Returns the classes that lend an image its palette, pattern and shape: twice its own, once another's."""
    owners = [label, label, label]
    borrowed = rng.choice(3, p=_BORROWED_PROBABILITIES)
    others = [other for other in range(NUM_CLASSES) if PALETTES[other] != PALETTES[label]]
    owners[borrowed] = others[rng.integers(len(others))]
    return owners[0], owners[1], owners[2]


_NUM_IMAGES = {"train": 5000, "test": 1000}
_SPLIT_SEEDS = {"train": 1, "test": 2}
_BORROWED_PROBABILITIES = (0.5, 0.25, 0.25)  # of palette, pattern and shape
_SUPERSAMPLING = 3
_PIECES_PER_SIDE = 3


def _tones(drifts: np.ndarray, hsv: tuple[float, float, float], *, hue_spread: float = 0.1) -> np.ndarray:
    """Returns a colour for each pixel, around one and drifting across the picture: float32 [side, side, 3] in 0..1."""
    tones = hsv + drifts * (hue_spread, 0.1, 0.08)
    tones[..., 0] %= 1
    image = Image.frombytes("HSV", (3, 3), (255 * np.clip(tones, 0, 1)).astype(np.uint8).tobytes()).convert("RGB")
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR), np.float32) / 255


def _pattern(rng: np.random.Generator, scene: Scene, name: str) -> np.ndarray:
    """Returns how much of the pattern's colour each pixel has: float32 [side, side, 1] in 0..1."""
    if name in _NOISE_CELLS:
        height = _noise(rng, cell_px=_NOISE_CELLS[name] * scene.period_px)
    else:
        # Two waves across each other, gently bent.
        line = _PIXELS * (2 * math.pi / scene.period_px)
        x = line + 0.4 * np.sin(line / 4 + scene.phases[0])[:, None]
        y = line[:, None] + 0.4 * np.sin(line / 4 + scene.phases[1])
        cos, sin = math.cos(scene.pattern_angle), math.sin(scene.pattern_angle)
        height = _WAVES[name](cos * x + sin * y + scene.phases[0], cos * y - sin * x + scene.phases[1])
    return np.clip(0.5 + 1.5 * height, 0, 1, dtype=np.float32)[..., None]


def _noise(rng: np.random.Generator, cell_px: float) -> np.ndarray:
    cells = max(2, round(SIDE_PX / cell_px))
    noise = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
    return np.asarray(noise.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC))


def _pieces(scene: Scene, name: str) -> np.ndarray:
    """Returns what part of each pixel the pieces cover: float32 [side, side, 1] in 0..1."""
    side = SIDE_PX * _SUPERSAMPLING
    cos, sin = scene.radii * np.cos(scene.angles), scene.radii * np.sin(scene.angles)
    turns = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    corners = side * (_OUTLINES[name] @ turns + scene.centres[:, None])  # [pieces, corners, 2]
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    for piece in corners.reshape(len(corners), -1).tolist():
        draw.polygon(piece, fill=255)
    return np.asarray(mask.reduce(_SUPERSAMPLING), np.float32)[..., None] / 255


def _photograph(rng: np.random.Generator, scene: Scene, picture: np.ndarray) -> np.ndarray:
    """Returns the picture, uint8, under the scene's light and with the noise of a camera."""
    ramp = _PIXELS * (2 / SIDE_PX) - 1
    down, right = scene.light_slope
    light = (1 + down * ramp[:, None] + right * ramp)[..., None] * np.float32(scene.light)
    noise = 0.03 * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * np.clip(picture * light + noise, 0, 1)).astype(np.uint8)


def _around(radii: list[float], start: float = 0.0, stop: float = 2 * math.pi) -> np.ndarray:
    """Returns the corners [n, 2] at the given distances from the origin, at equal angles from start to before stop."""
    angles = np.linspace(start, stop, len(radii), endpoint=False)
    return np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


_PIXELS = np.arange(SIDE_PX, dtype=np.float32)

_NOISE_CELLS = {"blotches": 1.1, "grain": 0.2}  # in periods

_WAVES = {
    "stripes": lambda u, v: np.sin(u),
    "grid": lambda u, v: np.maximum(np.cos(u), np.cos(v)) - 0.8,
    "checks": lambda u, v: 3 * np.sin(u / 2) * np.sin(v / 2),
    "dots": lambda u, v: np.cos(1.2 * u) + np.cos(1.2 * v) - 1,
    "zigzag": lambda u, v: np.sin(1.3 * u + 2.5 * np.abs(np.mod(v / 2, 2) - 1)),
    "rings": lambda u, v: 0.6 - 1.5 * np.abs(np.cos(u / 1.5) + np.cos(v / 1.5) - 0.6),
}

_CIRCLE = _around([1.0] * 20)
_OUTLINES = {
    "disc": 0.85 * _CIRCLE,
    "ring": np.concatenate([_CIRCLE, _CIRCLE[:1], 0.6 * _CIRCLE[:1], 0.6 * _CIRCLE[::-1]]),
    "square": _around([1.2] * 4),
    "triangle": _around([1.2] * 3),
    "cross": _around([1.05, 0.47, 1.05] * 4, start=-0.32, stop=2 * math.pi - 0.32),
    "star": _around([1.2, 0.45] * 5),
    "bar": np.array([(1.3, 0.25), (-1.3, 0.25), (-1.3, -0.25), (1.3, -0.25)]),
    "crescent": np.concatenate([_around([1.1] * 15, 0.3, 6.0), (_around([0.85] * 15, 0.3, 6.0) + (0.45, 0))[::-1]]),
}
