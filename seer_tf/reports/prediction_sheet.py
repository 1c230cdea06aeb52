"""Images with the boxes that were found in them beside those that are there, as one page; nothing to fetch."""

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
        name: Name of its class.
        confidence: Confidence of a box that was found; None for one that is there.
    """

    corners: tuple[float, float, float, float]
    name: str
    confidence: float | None = None


@dataclasses.dataclass(frozen=True)
class PredictedImage:
    """An image of the sheet.

    Attributes:
        name: Name of the image.
        pixels: Uint8 [h, w, 3].
        found: Boxes that were found.
        there: Boxes that are there.
    """

    name: str
    pixels: np.ndarray
    found: Sequence[Box]
    there: Sequence[Box]


def write_prediction_sheet(
    images: Sequence[PredictedImage], path: str | os.PathLike[str], *, title: str, summary: str
) -> None:
    """Writes the page, whole or not at all.

    Args:
        images: Images to show.
        path: Path of the HTML file; one that is there is replaced.
        title: Title of the page.
        summary: A sentence below it.
    """
    write_atomically(path, render_page("prediction_sheet.html.jinja2", title=title, summary=summary, images=images))
