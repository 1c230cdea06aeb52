"""A page that shows queries with their nearest images."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True, eq=False)
class SheetImage:
    """An image on the sheet.

    Attributes:
        name: Name of the image.
        pixels: Uint8 [h, w, 3].
        class_name: Name of the class; empty if there are no classes.
        similarity: Cosine to the query in the same row; 1 for the query itself.
    """

    name: str
    pixels: np.ndarray
    class_name: str = ""
    similarity: float = 1.0


@dataclasses.dataclass(frozen=True)
class SheetRow:
    """A query and the images nearest to it, the nearest first.

    Attributes:
        query: The query image.
        nearest: Images nearest to it.
        untrained: Nearest images by the untrained network; empty if unknown.
    """

    query: SheetImage
    nearest: Sequence[SheetImage]
    untrained: Sequence[SheetImage] = ()


def write_neighbour_sheet(rows: Sequence[SheetRow], path: str | os.PathLike[str], *, title: str, summary: str) -> None:
    """Writes the page, completely or not at all.

    Args:
        rows: One row for each query.
        path: Path of the HTML file; an existing file is replaced.
        title: Title of the page.
        summary: A sentence about the search and its accuracy.
    """
    write_atomically(path, render_page("neighbour_sheet.html.jinja2", title=title, summary=summary, rows=rows))
