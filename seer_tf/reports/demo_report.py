"""The demo's report: one self-contained page that shows what the network learned from the images."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.image_map import PlacedImage
from seer_tf.reports.learning_curve import learning_curve
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """A query image and the images nearest to it.

    Attributes:
        query: Uint8 [h, w, 3].
        before: Nearest images by the untrained network, the nearest first.
        after: Nearest images by the pretrained network, the nearest first.
        query_class: Name of the query's class; None without labels.
        before_right: Whether each image in `before` has the query's class; empty without labels.
        after_right: Whether each image in `after` has the query's class; empty without labels.
    """

    query: np.ndarray
    before: Sequence[np.ndarray]
    after: Sequence[np.ndarray]
    query_class: str | None = None
    before_right: Sequence[bool] = ()
    after_right: Sequence[bool] = ()


@dataclasses.dataclass(frozen=True)
class Prototype:
    """A prototype and the images with the highest scores for it.

    Attributes:
        number: Number of the prototype.
        share: Share of all images that have this prototype as their best one.
        images: Uint8 [h, w, 3] each, the highest score first.
    """

    number: int
    share: float
    images: Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """A row of the accuracy table: fractions of the test images that were classified correctly."""

    features: str
    knn: float
    linear_probe: float


@dataclasses.dataclass(frozen=True)
class DemoReport:
    """The content of the page.

    Attributes:
        title: Title of the page.
        summary: A paragraph about what was done.
        figures: Names and values of a few key figures, as text.
        figures_note: Explanation of the key figures.
        learning_curve: Pairs of step and loss / ln K.
        crops: For each image the image itself and then its crops, uint8 [h, w, 3] each.
        neighbours: Queries with their nearest images.
        prototypes: The most used prototypes.
        map: Some of the images, placed by their features.
        accuracies: Rows of the accuracy table; empty without labels.
        accuracy_note: Explanation of the accuracy table.
        places: Names of outputs with their paths or commands, as text.
    """

    title: str
    summary: str
    figures: Sequence[tuple[str, str]]
    figures_note: str
    learning_curve: Sequence[tuple[int, float]]
    crops: Sequence[Sequence[np.ndarray]]
    neighbours: Sequence[Neighbours]
    prototypes: Sequence[Prototype]
    map: Sequence[PlacedImage]
    accuracies: Sequence[Accuracy]
    accuracy_note: str
    places: Sequence[tuple[str, str]]


def write_demo_report(report: DemoReport, path: str | os.PathLike[str]) -> None:
    """Writes the page, completely or not at all.

    Args:
        report: Content of the page.
        path: Path of the HTML file; an existing file is replaced.
    """
    write_atomically(path, render_demo_report(report))


def render_demo_report(report: DemoReport) -> str:
    """Returns the page as self-contained HTML, with styles, images and chart and without scripts."""
    chart = learning_curve(report.learning_curve, x_label="step", y_label="loss / ln K")
    return render_page("demo_report.html.jinja2", report=report, chart=chart)
