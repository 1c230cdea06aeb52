"""All that evaluations have found, on one page, beside what was published."""

import dataclasses
import os
from collections.abc import Sequence

from seer_tf.files.atomic import write_atomically
from seer_tf.reports.charts import interval_bars, lines
from seer_tf.reports.page import render_page


@dataclasses.dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        name: under which it is drawn.
        cells: of the table.
        value: in percent.
        interval: in percent; None of a published number.
        curve: in percent by epoch; empty where there is none.
    """

    name: str
    cells: Sequence[str]
    value: float
    interval: tuple[float, float] | None
    curve: Sequence[float] = ()


@dataclasses.dataclass(frozen=True)
class Group:
    """Numbers that can be set beside each other: of one evaluation, one metric and one test set."""

    title: str
    metric: str
    rows: Sequence[Row]

    @property
    def bars(self) -> str:
        """Returns the numbers as an <svg> element."""
        values = [(row.name, row.value, row.interval or (row.value, row.value)) for row in self.rows]
        return interval_bars(values, x_label=f"{self.metric}, %")

    @property
    def curves(self) -> str:
        """Returns the curves as an <svg> element; nothing where there are none."""
        curves: dict[str, Sequence[float]] = {}
        for number, row in enumerate(self.rows, start=1):
            if row.curve:
                curves[f"{row.name} (row {number})" if row.name in curves else row.name] = row.curve
        return lines(curves, x_label="epoch", y_label="held-out top-1, %") if curves else ""


def write_evaluation_report(
    groups: Sequence[Group],
    published: Sequence[Sequence[str]],
    path: str | os.PathLike[str],
    *,
    header: Sequence[str],
    published_header: Sequence[str],
) -> None:
    """Writes the page, whole or not at all.

    Args:
        groups: the numbers, published ones of the same test set among them.
        published: rows of the table of all published numbers.
        path: of the HTML file; one that is there is replaced.
        header: of the groups' tables.
        published_header: of the other table.
    """
    page = render_page(
        "evaluation_report.html.jinja2",
        title="What the features are worth",
        groups=groups,
        header=header,
        published=published,
        published_header=published_header,
    )
    write_atomically(path, page)
