"""Drawn photographs for tests of shards."""

import numpy as np
from PIL import Image


def photo(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Returns a smooth image of random colours, (width, height) pixels."""
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)
