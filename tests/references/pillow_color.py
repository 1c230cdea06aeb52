"""torchvision's `ColorJitter` and `RandomGrayscale` on Pillow images, in NumPy, with every rounding of Pillow.

The sources are Pillow's `ImageEnhance.py`, `Blend.c`, `Convert.c` and torchvision's `_functional_pil.py`. Pixels are
uint8 [h, w, 3].
"""

from collections.abc import Callable, Sequence

import numpy as np


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Returns the grey levels [h, w]: ITU-R 601-2 with 16 fractional bits, rounded."""
    red, green, blue = np.moveaxis(pixels.astype(np.int64), 2, 0)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def blend(other: np.ndarray, pixels: np.ndarray, factor: float) -> np.ndarray:
    """Returns `other + factor * (pixels - other)` in float32, truncated to whole levels from 0 to 255."""
    first, second = other.astype(np.float32), pixels.astype(np.float32)
    mixed = first + np.float32(factor) * (second - first)
    return np.clip(mixed, 0, 255).astype(np.uint8)  # truncates the fraction


def brightness(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blends with black."""
    return blend(np.zeros_like(pixels), pixels, factor)


def contrast(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blends with the mean grey level of the image, rounded."""
    mean = int(luminance(pixels).mean() + 0.5)
    return blend(np.full_like(pixels, mean), pixels, factor)


def saturation(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Blends with the grey level of each pixel."""
    return blend(grayscale(pixels), pixels, factor)


def grayscale(pixels: np.ndarray) -> np.ndarray:
    """Returns the image in grey, with three equal channels."""
    return np.repeat(luminance(pixels)[..., np.newaxis], 3, axis=2)


def hue(pixels: np.ndarray, turns: float) -> np.ndarray:
    """Adds 255 * turns, truncated, to the hue. The hue is a circle of 256 levels."""
    hsv = to_hsv(pixels)
    hsv[..., 0] += np.array(int(turns * 255)).astype(np.uint8)  # wraps around
    return to_rgb(hsv)


def to_hsv(pixels: np.ndarray) -> np.ndarray:
    """Returns hue, saturation and value, uint8 [h, w, 3]. Hue and saturation are truncated to whole levels."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), 2, 0)
    largest, least = pixels.max(axis=2), pixels.min(axis=2)
    chroma = largest.astype(np.float32) - least
    divisor = np.where(chroma > 0, chroma, np.float32(1))
    to_red, to_green, to_blue = ((largest - channel) / divisor for channel in (red, green, blue))
    sextant = np.where(
        red == largest,
        to_blue - to_green,
        np.where(
            green == largest, 2.0 + to_red.astype(np.float64) - to_blue, 4.0 + to_green.astype(np.float64) - to_red
        ),
    ).astype(np.float32)
    turn = np.fmod(sextant.astype(np.float64) / 6.0 + 1.0, 1.0).astype(np.float32)
    share = chroma / np.where(largest > 0, largest, 1).astype(np.float32)
    coloured = chroma > 0
    levels = [np.where(coloured, (x.astype(np.float64) * 255.0).astype(np.uint8), 0) for x in (turn, share)]
    return np.stack([*levels, largest], axis=2).astype(np.uint8)


def to_rgb(hsv: np.ndarray) -> np.ndarray:
    """Returns the colours for hue, saturation and value, rounded."""
    turn, share, value = np.moveaxis(hsv.astype(np.float32), 2, 0)
    share /= np.float32(255)
    sextant = turn * np.float32(6) / np.float32(255)
    whole = np.floor(sextant)
    rest = sextant - whole
    low, falling, rising = (
        _rounded(value * (1 - share * part)) for part in (np.float32(1), rest, np.float32(1) - rest)
    )
    order = [
        (value, rising, low),
        (falling, value, low),
        (low, value, rising),
        (low, falling, value),
        (rising, low, value),
        (value, low, falling),
    ]
    number = whole.astype(np.int64)[..., np.newaxis] % 6
    return np.select([number == k for k in range(6)], [np.stack(parts, axis=2) for parts in order]).astype(np.uint8)


def _rounded(levels: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(levels + np.float32(0.5)), 0, 255)


OPERATIONS: tuple[Callable[[np.ndarray, float], np.ndarray], ...] = (brightness, contrast, saturation, hue)
"""In the order in which torchvision numbers them."""


def color_jitter(pixels: np.ndarray, values: Sequence[float], order: Sequence[int]) -> np.ndarray:
    """Returns the image after the four operations.

    Args:
        pixels: The image.
        values: Factors of brightness, contrast and saturation, and turns of the hue.
        order: Numbers of the operations, in their order.
    """
    for number in order:
        pixels = OPERATIONS[number](pixels, values[number])
    return pixels
