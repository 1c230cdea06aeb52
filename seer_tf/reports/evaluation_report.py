"""The results of evaluations on one page, beside published numbers of the same evaluation on the same images."""

import dataclasses
import os
from collections.abc import Sequence

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.charts import lines
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Row:
    """One number on the page.

    Attributes:
        name: Name of the evaluated network.
        note: Other settings that the number depends on.
        value: The number, a fraction.
        interval: Ends of the 95 % interval, fractions; None for a published number.
        curve: Fractions by epoch; empty without a curve.
    """

    name: str
    note: str
    value: float
    interval: tuple[float, float] | None
    curve: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Group:
    """Numbers that can be compared: they come from one evaluation, one metric and one test set.

    Attributes:
        title: Names of the evaluation and the images.
        about: A sentence about the numbers.
        rows: The numbers.
    """

    title: str
    about: str
    rows: Sequence[Row]

    @property
    def curves(self) -> str:
        """Returns the curves as an <svg> element; empty text without curves."""
        curves: dict[str, Sequence[float]] = {}
        for number, row in enumerate(self.rows, start=1):
            if row.curve:
                name = f"{row.name} (row {number})" if row.name in curves else row.name
                curves[name] = [100 * share for share in row.curve]
        return lines(curves, x_label="epoch", y_label="held-out top-1, %") if curves else ""


def write_evaluation_report(groups: Sequence[Group], path: str | os.PathLike[str]) -> None:
    """Writes the page, completely or not at all.

    Args:
        groups: The numbers, with published numbers for the same test sets.
        path: Path of the HTML file; an existing file is replaced.
    """
    page = render_page("evaluation_report.html.jinja2", title="Evaluation of features", groups=groups)
    write_atomically(path, page)
