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
        name: of what was evaluated.
        note: what else the number depends on.
        value: a fraction.
        interval: fractions; None of a published number.
        curve: fractions by epoch; empty where there is none.
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
        title: which evaluation of which images.
        about: what the numbers are, as a sentence.
        rows: the numbers.
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
        groups: the numbers, published ones of the same test set among them.
        path: of the HTML file; one that is there is replaced.
    """
    page = render_page("evaluation_report.html.jinja2", title="What the features are worth", groups=groups)
    write_atomically(path, page)
