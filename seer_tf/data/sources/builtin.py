"""`builtin` and `builtin:test`: rendered images of pieces scattered on a patterned cloth.

SwAV learns what the crops of one image share and other images lack. As in natural images, several cues agree with the
class, and no single cue determines it. Every class has a palette (shared with one other class), a pattern of the cloth
and a shape of the pieces. In every image, exactly one of the three cues is borrowed from a class with another palette.
The other two cues together always determine the class. The pattern alone or the shape alone agrees with the class in
75 % of the images, and the palette in 50 %.

Three rules keep the set honest:

- Position, scale and rotation of pattern and pieces, the tone of the cloth, and the light are drawn without the class.
- Colours drift inside each picture, and tone and light vary so much between pictures that colour histograms and
  thumbnails show little of the class.
- The test images come from other seeds. The files do not contain the class; only evaluation receives it.
"""

import dataclasses
import functools
import io
import math

import numpy as np
from PIL import Image, ImageDraw

from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

SIDE_PX = 48
HUES = {"red": 0.0, "green": 0.25, "blue": 0.5, "violet": 0.75}
PALETTES = ("red", "green", "blue", "violet") * 2
PATTERNS = ("stripes", "grid", "checks", "dots", "blotches", "grain", "zigzag", "rings")
SHAPES = ("disc", "ring", "square", "triangle", "cross", "star", "bar", "crescent")
NUM_CLASSES = len(PALETTES)
SPLITS = ("train", "test")

class_names: tuple[str, ...] = tuple(
    f"{palette} {shape} on {pattern}" for palette, pattern, shape in zip(PALETTES, PATTERNS, SHAPES, strict=True)
)


class BuiltinSource(Source):
    """The images of one split. Each is rendered at its first use and kept, since it has a few kilobytes only."""

    is_verified = True

    def __init__(self, split: str) -> None:
        """Takes a `split`, "train" or "test"."""
        self._split = split
        self.ids = [f"{split}/{index:06d}.jpg" for index in range(num_images(split))]
        self.class_names = class_names
        self._render = functools.cache(functools.partial(render_image, split))

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Pickles the name of the split alone; the other process renders the images again."""
        return BuiltinSource, (self._split,)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Class of each image, int64 `[num_images]`; the first access renders all images."""
        return np.array([self._render(index)[1] for index in range(self.num_images)], np.int64)

    def read(self, index: int) -> bytes:
        """Returns image `index` as JPEG."""
        return self._render(index)[0]


@dataclasses.dataclass(frozen=True)
class Scene:
    """The properties of a picture that do not depend on its class.

    Attributes:
        cloth_hsv: Hue, saturation and value of the bare cloth, in 0..1.
        drifts: Deviations of hue, saturation and value at 3 x 3 places of the cloth, of its pattern and of the pieces,
            float64 `[3, 3, 3, 3]`, in units of their spreads.
        period_px: Period of the pattern.
        pattern_angle: Angle of the pattern in radians.
        phases: Phases of the two waves of the pattern in radians, float64 `[2]`.
        centres: Centres of the pieces as fractions of the picture, float64 `[9, 2]`.
        radii: Radii of the pieces as fractions of the picture, float64 `[9]`.
        angles: Angles of the pieces in radians, float64 `[9]`.
        light: Factors of red, green and blue in the middle of the picture, float64 `[3]`.
        light_slope: Change of the light per half picture, downwards and to the right, float64 `[2]`.
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
    """Returns the number of images in a split.

    Raises:
        InputError: The split is neither train nor test.
    """
    if split not in SPLITS:
        raise InputError.unknown("split of the built-in images", split, SPLITS)
    return _NUM_IMAGES[split]


def render_image(split: str, index: int) -> tuple[bytes, int]:
    """Renders one image; the same arguments give the same image.

    Args:
        split: "train" or "test".
        index: Number of the image, from 0 to `num_images(split) - 1`.

    Returns:
        Bytes of a JPEG file of 48 x 48 px, and the class.

    Raises:
        InputError: The split or the index does not exist.
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
    """Draws a random scene without knowing the class."""
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
    """Draws the classes that palette, pattern and shape come from: two are the class itself, one is another class."""
    owners = [label, label, label]
    borrowed = rng.choice(3, p=_BORROWED_PROBABILITIES)
    others = [other for other in range(NUM_CLASSES) if PALETTES[other] != PALETTES[label]]
    owners[borrowed] = others[rng.integers(len(others))]
    return owners[0], owners[1], owners[2]


_NUM_IMAGES = {"train": 5000, "test": 1000}
_SPLIT_SEEDS = {"train": 1, "test": 2}
_BORROWED_PROBABILITIES = (0.5, 0.25, 0.25)  # palette, pattern, shape
_SUPERSAMPLING = 3
_PIECES_PER_SIDE = 3


def _tones(drifts: np.ndarray, hsv: tuple[float, float, float], *, hue_spread: float = 0.1) -> np.ndarray:
    """Returns a colour per pixel that drifts around `hsv` across the picture: float32 `[side, side, 3]` in 0..1."""
    tones = hsv + drifts * (hue_spread, 0.1, 0.08)
    tones[..., 0] %= 1
    image = Image.frombytes("HSV", (3, 3), (255 * np.clip(tones, 0, 1)).astype(np.uint8).tobytes()).convert("RGB")
    return np.asarray(image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR), np.float32) / 255


def _pattern(rng: np.random.Generator, scene: Scene, name: str) -> np.ndarray:
    """Returns the share of the colour of the pattern in each pixel: float32 `[side, side, 1]` in 0..1."""
    if name in _NOISE_CELLS:
        height = _noise(rng, cell_px=_NOISE_CELLS[name] * scene.period_px)
    else:
        # Two crossing waves, slightly bent.
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
    """Returns the part of each pixel that the pieces cover: float32 `[side, side, 1]` in 0..1."""
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
    """Returns the picture, uint8, under the light of the scene and with the noise of a camera."""
    ramp = _PIXELS * (2 / SIDE_PX) - 1
    down, right = scene.light_slope
    light = (1 + down * ramp[:, None] + right * ramp)[..., None] * np.float32(scene.light)
    noise = 0.03 * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * np.clip(picture * light + noise, 0, 1)).astype(np.uint8)


def _around(radii: list[float], start: float = 0.0, stop: float = 2 * math.pi) -> np.ndarray:
    """Returns corners `[n, 2]` at given distances from the origin, at equal angles from `start` to before `stop`."""
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
