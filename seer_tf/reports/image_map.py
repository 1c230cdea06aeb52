"""A page with a map of images."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True, eq=False)
class PlacedImage:
    """An image on the map.

    Attributes:
        pixels: Uint8 [h, w, 3].
        right: Place to the right, from 0 to 1.
        down: Place down, from 0 to 1.
        name: Name of the image, with its class if it has one.
    """

    pixels: np.ndarray
    right: float
    down: float
    name: str


def placed(pixels: Sequence[np.ndarray], places: np.ndarray, names: Sequence[str]) -> list[PlacedImage]:
    """Returns images with their places.

    Args:
        pixels: Uint8 [h, w, 3] for each image.
        places: Places from 0 to 1, float [N, 2].
        names: Names of the images.
    """
    rows = zip(pixels, places.tolist(), names, strict=True)
    return [PlacedImage(image, right, down, name) for image, (right, down), name in rows]


def write_image_map(images: Sequence[PlacedImage], path: str | os.PathLike[str], *, title: str, summary: str) -> None:
    """Writes the page, completely or not at all.

    Args:
        images: Images with their places.
        path: Path of the HTML file; an existing file is replaced.
        title: Title of the page.
        summary: A sentence about the features.
    """
    write_atomically(path, render_page("image_map.html.jinja2", title=title, summary=summary, images=images))
