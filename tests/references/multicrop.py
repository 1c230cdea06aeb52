"""The boxes of multi-crop from torchvision's `RandomResizedCrop`, one draw at a time, with NumPy's random numbers."""

import math

import numpy as np


def random_box(rng, height, width, min_area_fraction, max_area_fraction):
    """Returns `RandomResizedCrop.get_params`: top, left, height, width."""
    for _ in range(10):
        area = height * width * rng.uniform(min_area_fraction, max_area_fraction)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    w, h = width, height
    if width / height < 3 / 4:
        h = round(w / (3 / 4))
    elif width / height > 4 / 3:
        w = round(h * 4 / 3)
    return (height - h) // 2, (width - w) // 2, h, w


def random_boxes(num, height, width, min_area_fraction, max_area_fraction, seed=0):
    """Returns many random boxes, int `[num, 4]`."""
    rng = np.random.default_rng(seed)
    return np.array([random_box(rng, height, width, min_area_fraction, max_area_fraction) for _ in range(num)])
