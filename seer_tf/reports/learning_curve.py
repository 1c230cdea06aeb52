"""The learning curve of a run, read from its TensorBoard events and drawn as SVG."""

import os
import pathlib
from collections.abc import Sequence

from seer_tf.reports.charts import ACCENT, FAINT, TEXT, chart
from seer_tf.reports.curves import read_events

RELATIVE_LOSS = "loss/relative_to_ln_K"


def read_scalars(events_dir: str | os.PathLike[str], tag: str) -> list[tuple[int, float]]:
    """Reads one curve of a run. If an interrupted run wrote a step twice, the later value counts.

    Args:
        events_dir: Directory of the run's event files.
        tag: Name of the scalar.

    Returns:
        Pairs of step and value, in the order of steps; empty without such a scalar.
    """
    return sorted(read_events(pathlib.Path(events_dir)).get(tag, {}).items())


def learning_curve(points: Sequence[tuple[int, float]], *, x_label: str, y_label: str) -> str:
    """Draws values over steps, with a dashed line at one, the value of a run that has learned nothing.

    Args:
        points: Pairs of step and value.
        x_label: Label of the steps.
        y_label: Label of the values.

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
