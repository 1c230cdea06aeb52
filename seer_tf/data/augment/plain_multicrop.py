"""Multi-crop (SwAV, section 3.4) written plainly: one crop after another, each operation by Pillow.

Read this file first. `multicrop.py` makes the same crops from the same random numbers, many times as fast, and a test
compares the two. Order and parameters are those of VISSL's `multicrop_2x224_4x96` transforms; BYOL's solarisation comes
last, as in its paper.
"""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from seer_tf.config import CropsConfig

_NUM_TRIES = 10
_LONGEST_ASPECT = 4 / 3
_ORDERS = tuple(itertools.permutations(("brightness", "contrast", "saturation", "hue")))
_ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def plain_multicrop(image: Image.Image, crops: CropsConfig, uniform: np.ndarray) -> Iterator[Image.Image]:
    """Yields the crops of an image, group after group.

    Args:
        image: RGB image of any size.
        crops: Numbers, sizes and distortions of the crops.
        uniform: Random numbers in [0, 1), one row for each of the V crops: float `[V, 32]`, or `[V, 33]` if crops are
            solarised.
    """
    rows = enumerate(uniform.tolist())
    groups = zip(crops.num, crops.sizes_px, crops.min_area_fractions, crops.max_area_fractions, strict=True)
    for num, side, least, largest in groups:
        for number, row in itertools.islice(rows, num):
            own = crops.of_view(number)
            crop = image.crop(random_box(image.width, image.height, least, largest, row[:22]))
            crop = crop.resize((side, side), Image.Resampling[crops.interpolation.upper()])
            flipped, jittered, order, hue, greyed, blurred, sigma, *factors = row[22:32]
            if flipped < crops.flip_probability:
                crop = ImageOps.mirror(crop)
            if jittered < crops.color_jitter_probability:
                crop = color_jitter(crop, crops, order, hue, factors)
            if greyed < crops.grayscale_probability:
                crop = crop.convert("L").convert("RGB")
            if blurred < own.blur_probability:
                radius = _between(crops.blur_min_sigma_px, crops.blur_max_sigma_px, sigma)
                crop = crop.filter(ImageFilter.GaussianBlur(radius))
            if row[32:] and row[32] < own.solarize_probability:
                crop = ImageOps.solarize(crop)
            yield crop


def random_box(
    width: int, height: int, least: float, largest: float, uniform: Sequence[float]
) -> tuple[int, int, int, int]:
    """Draws a box as torchvision's `RandomResizedCrop`: ten tries, then the largest central box of an allowed aspect.

    Args:
        width: Width of the image in px.
        height: Height of the image in px.
        least: Least area of the box, as a fraction of the area of the image.
        largest: Largest area of the box, likewise.
        uniform: 22 random numbers: ten areas, ten aspect ratios, and the place from the top and from the left.

    Returns:
        Left, top, right and bottom in px.
    """
    for area_draw, aspect_draw in zip(uniform[:_NUM_TRIES], uniform[_NUM_TRIES : 2 * _NUM_TRIES], strict=True):
        area = _between(least, largest, area_draw) * width * height
        aspect = _LONGEST_ASPECT ** _between(-1, 1, aspect_draw)
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 1 <= box_width <= width and 1 <= box_height <= height:
            top, left = int(uniform[-2] * (height - box_height + 1)), int(uniform[-1] * (width - box_width + 1))
            return left, top, left + box_width, top + box_height
    box_width, box_height = min(width, round(height * _LONGEST_ASPECT)), min(height, round(width * _LONGEST_ASPECT))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def color_jitter(
    crop: Image.Image, crops: CropsConfig, order: float, hue: float, factors: Sequence[float]
) -> Image.Image:
    """Changes brightness, contrast, saturation and hue in a random order, as torchvision's `ColorJitter`.

    Args:
        crop: RGB image.
        crops: Strengths of the four operations.
        order: Random number in [0, 1) that chooses the order.
        hue: Random number in [0, 1) for the turn of the hue.
        factors: Random numbers in [0, 1) for the factors of brightness, contrast and saturation.
    """
    draws = dict(zip(_ENHANCERS, factors, strict=True))
    for operation in _ORDERS[int(order * len(_ORDERS))]:
        if operation == "hue":
            crop = turn_hue(crop, crops.hue * _between(-1, 1, hue))
        else:
            strength = getattr(crops, operation)
            factor = _between(max(0, 1 - strength), 1 + strength, draws[operation])
            crop = _ENHANCERS[operation](crop).enhance(factor)
    return crop


def turn_hue(crop: Image.Image, turns: float) -> Image.Image:
    """Moves the hue of every pixel by whole steps of the colour circle, which Pillow divides into 256."""
    hue, saturation, value = crop.convert("HSV").split()
    turned = hue.point([(level + int(255 * turns)) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def _between(low: float, high: float, uniform: float) -> float:
    return low + (high - low) * uniform
