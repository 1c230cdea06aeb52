"""Queries and their nearest images, as one page to look at."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True, eq=False)
class SheetImage:
    """An image of the sheet.

    Attributes:
        name: Name of the image.
        pixels: Uint8 [h, w, 3].
        class_name: Name of the class; empty if there are no classes.
        similarity: Cosine to the query of its row; of the query itself one.
    """

    name: str
    pixels: np.ndarray
    class_name: str = ""
    similarity: float = 1.0


@dataclasses.dataclass(frozen=True)
class SheetRow:
    """A query and the images nearest to it, the nearest first.

    Attributes:
        query: The image that is asked about.
        nearest: Images nearest to it.
        untrained: Nearest images by the untrained network; empty if unknown.
    """

    query: SheetImage
    nearest: Sequence[SheetImage]
    untrained: Sequence[SheetImage] = ()


def write_neighbour_sheet(rows: Sequence[SheetRow], path: str | os.PathLike[str], *, title: str, summary: str) -> None:
    """Writes the page, whole or not at all.

    Args:
        rows: One for each query.
        path: Path of the HTML file; one that is there is replaced.
        title: Title of the page.
        summary: A sentence on what was searched, and how well.
    """
    write_atomically(path, render_page("neighbour_sheet.html.jinja2", title=title, summary=summary, rows=rows))
