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
        query: uint8 [h, w, 3].
        before: nearest images by the untrained network, the nearest first.
        after: nearest images by the pretrained network, the nearest first.
        query_class: name of its class, or None where there are no labels.
        before_right: for each image of `before` whether it is of the query's class; empty without labels.
        after_right: the same of `after`.
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
        number: which one.
        share: of all images, those whose best prototype it is.
        images: uint8 [h, w, 3] each, the highest score first.
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
        title: of the page.
        summary: a paragraph on what was done.
        figures: names and values of the few most telling numbers, as text.
        figures_note: what they mean.
        learning_curve: (step, loss / ln K).
        crops: for each image the image itself, then its crops, uint8 [h, w, 3] each.
        neighbours: queries with their nearest images.
        prototypes: the most used ones.
        accuracies: the table; empty where there are no labels.
        accuracy_note: how the table was made.
        places: what lies where, and the commands to go on with, as (what, text).
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
        report: what to show.
        path: of the HTML file; one that is there is replaced.
    """
    write_atomically(path, render_demo_report(report))


def render_demo_report(report: DemoReport) -> str:
    """Returns the page as HTML with everything in it: styles, images, chart; no script and nothing to fetch."""
    chart = learning_curve(report.learning_curve, x_label="step", y_label="loss / ln K")
    return render_page("demo_report.html.jinja2", report=report, chart=chart)
