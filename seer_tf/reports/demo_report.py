"""The demo's report: one self-contained page that shows what was learned from the images."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.learning_curve import learning_curve
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """A query image and what is nearest to it.

    Attributes:
        query: Uint8 [h, w, 3].
        before: Nearest images by the untrained network, the nearest first.
        after: Nearest images by the pretrained network, the nearest first.
        query_class: Name of its class, or None where there are no labels.
        before_right: Before right for each image of `before` whether it is of the query's class; empty without labels.
        after_right: The same of `after`.
    """

    query: np.ndarray
    before: Sequence[np.ndarray]
    after: Sequence[np.ndarray]
    query_class: str | None = None
    before_right: Sequence[bool] = ()
    after_right: Sequence[bool] = ()


@dataclasses.dataclass(frozen=True)
class Prototype:
    """A prototype and the images that score highest on it.

    Attributes:
        number: Which one.
        share: Share of all images, those whose best prototype it is.
        images: Uint8 [h, w, 3] each, the highest score first.
    """

    number: int
    share: float
    images: Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """A row of the accuracy table: fractions of the test images that were classified right."""

    features: str
    knn: float
    linear_probe: float


@dataclasses.dataclass(frozen=True)
class DemoReport:
    """All that the page shows.

    Attributes:
        title: Title of the page.
        summary: A paragraph on what was done.
        figures: Names and values of the few most telling numbers, as text.
        figures_note: What they mean.
        learning_curve: (step, loss / ln K).
        crops: Crops for each image the image itself, then its crops, uint8 [h, w, 3] each.
        neighbours: Queries with their nearest images.
        prototypes: The most used ones.
        accuracies: The table; empty where there are no labels.
        accuracy_note: How the table was made.
        places: What lies where, and the commands to go on with, as (what, text).
    """

    title: str
    summary: str
    figures: Sequence[tuple[str, str]]
    figures_note: str
    learning_curve: Sequence[tuple[int, float]]
    crops: Sequence[Sequence[np.ndarray]]
    neighbours: Sequence[Neighbours]
    prototypes: Sequence[Prototype]
    accuracies: Sequence[Accuracy]
    accuracy_note: str
    places: Sequence[tuple[str, str]]


def write_demo_report(report: DemoReport, path: str | os.PathLike[str]) -> None:
    """Writes the page, whole or not at all.

    Args:
        report: What to show.
        path: Path of the HTML file; one that is there is replaced.
    """
    write_atomically(path, render_demo_report(report))


def render_demo_report(report: DemoReport) -> str:
    """Returns the page as HTML with everything in it: styles, images, chart; no script and nothing to fetch."""
    chart = learning_curve(report.learning_curve, x_label="step", y_label="loss / ln K")
    return render_page("demo_report.html.jinja2", report=report, chart=chart)
