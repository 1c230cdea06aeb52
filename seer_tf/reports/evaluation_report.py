"""All that evaluations have found, on one page, beside what was published of the same evaluation of the same images."""

import dataclasses
import os
from collections.abc import Sequence

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.charts import lines
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        name: Name of what was evaluated.
        note: What else the number depends on.
        value: A fraction.
        interval: Fractions; None of a published number.
        curve: Fractions by epoch; empty where there is none.
    """

    name: str
    note: str
    value: float
    interval: tuple[float, float] | None
    curve: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Group:
    """Numbers that can be set beside each other: of one evaluation, one metric and one test set.

    Attributes:
        title: Which evaluation of which images.
        about: What the numbers are, as a sentence.
        rows: The numbers.
    """

    title: str
    about: str
    rows: Sequence[Row]

    @property
    def curves(self) -> str:
        """Returns the curves as an <svg> element; nothing where there are none."""
        curves: dict[str, Sequence[float]] = {}
        for number, row in enumerate(self.rows, start=1):
            if row.curve:
                name = f"{row.name} (row {number})" if row.name in curves else row.name
                curves[name] = [100 * share for share in row.curve]
        return lines(curves, x_label="epoch", y_label="held-out top-1, %") if curves else ""


def write_evaluation_report(groups: Sequence[Group], path: str | os.PathLike[str]) -> None:
    """Writes the page, whole or not at all.

    Args:
        groups: The numbers, published ones of the same test set among them.
        path: Path of the HTML file; one that is there is replaced.
    """
    page = render_page("evaluation_report.html.jinja2", title="What the features are worth", groups=groups)
    write_atomically(path, page)
