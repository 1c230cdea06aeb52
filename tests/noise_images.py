"""Folders of noise, with a folder for each class."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_classes(root: Path, classes: dict[str, int]) -> str:
    """Writes a number of images for each class, and returns the root folder."""
    generator = np.random.default_rng(0)
    for name, num_images in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(num_images):
            pixels = generator.integers(0, 256, [20, 30, 3], np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:03d}.png")
    return str(root)
