"""A self-contained page that shows images with detected boxes and ground-truth boxes."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Box:
    """A box in pixels of its image.

    Attributes:
        corners: Left, top, right and bottom.
        name: Name of the box's class.
        confidence: Confidence of a detected box; None for a ground-truth box.
    """

    corners: tuple[float, float, float, float]
    name: str
    confidence: float | None = None


@dataclasses.dataclass(frozen=True)
class PredictedImage:
    """An image on the sheet.

    Attributes:
        name: Name of the image.
        pixels: Uint8 [h, w, 3].
        found: Detected boxes.
        there: Ground-truth boxes.
    """

    name: str
    pixels: np.ndarray
    found: Sequence[Box]
    there: Sequence[Box]


def write_prediction_sheet(
    images: Sequence[PredictedImage], path: str | os.PathLike[str], *, title: str, summary: str
) -> None:
    """Writes the page, completely or not at all.

    Args:
        images: Images to show.
        path: Path of the HTML file; an existing file is replaced.
        title: Title of the page.
        summary: A sentence below the title.
    """
    write_atomically(path, render_page("prediction_sheet.html.jinja2", title=title, summary=summary, images=images))
