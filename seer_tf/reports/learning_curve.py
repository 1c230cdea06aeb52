"""The learning curve of a run, read from its TensorBoard events and drawn as SVG."""

import os
import pathlib
from collections.abc import Sequence

from seer_tf.reports.charts import ACCENT, FAINT, TEXT, chart
from seer_tf.reports.curves import read_events

RELATIVE_LOSS = "loss/relative_to_ln_K"


def read_scalars(events_dir: str | os.PathLike[str], tag: str) -> list[tuple[int, float]]:
    """Reads one curve of a run, also of one that was interrupted and continued.

    Args:
        events_dir: Where the run's event files are.
        tag: Name of the scalar.

    Returns:
        (step, value) by rising step, the value written last where a step was written twice; empty where there is none.
    """
    return sorted(read_events(pathlib.Path(events_dir)).get(tag, {}).items())


def learning_curve(points: Sequence[tuple[int, float]], *, x_label: str, y_label: str) -> str:
    """Draws values over steps with a dashed line at one, where a run starts that has learned nothing.

    Args:
        points: (step, value).
        x_label: What the steps are.
        y_label: What the values are.

    Returns:
        An <svg> element.
    """
    with chart(2.6) as (axes, svg):
        axes.axhline(1.0, color=FAINT, linestyle=(0, (4, 4)), linewidth=1)
        axes.plot(*zip(*points, strict=True), color=ACCENT, linewidth=2)
        axes.set_xlabel(x_label, color=TEXT)
        axes.set_ylabel(y_label, color=TEXT)
        axes.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.5)
        axes.margins(x=0.01)
    return svg[0]
