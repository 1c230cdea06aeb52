"""The learning curve of a run, read from its TensorBoard events and drawn as SVG."""

import io
import os
from collections.abc import Sequence

import matplotlib
import tensorflow as tf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

RELATIVE_LOSS = "loss/relative_to_ln_K"

# Drawn in these, then named as the page's own colours, so that the chart follows its light and dark themes.
_PAGE_COLORS = {"#010203": "var(--text)", "#040506": "var(--faint)", "#070809": "var(--accent)"}
_TEXT, _FAINT, _ACCENT = _PAGE_COLORS


def read_scalars(events_dir: str | os.PathLike[str], tag: str) -> list[tuple[int, float]]:
    """Reads one curve of a run, also of one that was interrupted and continued.

    Args:
        events_dir: where the run's event files are.
        tag: name of the scalar.

    Returns:
        (step, value) by rising step, the value written last where a step was written twice; empty where there is none.
    """
    events = EventAccumulator(str(events_dir), size_guidance={"tensors": 0})
    events.Reload()
    if tag not in events.Tags()["tensors"]:
        return []
    by_step = {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in _by_time(events.Tensors(tag))}
    return sorted(by_step.items())


def learning_curve(points: Sequence[tuple[int, float]], *, x_label: str, y_label: str) -> str:
    """Draws values over steps with a dashed line at one, where a run starts that has learned nothing.

    Args:
        points: (step, value).
        x_label: what the steps are.
        y_label: what the values are.

    Returns:
        An <svg> element.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seer_tf", "font.size": 11}):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.axhline(1.0, color=_FAINT, linestyle=(0, (4, 4)), linewidth=1)
        axes.plot(*zip(*points, strict=True), color=_ACCENT, linewidth=2)
        axes.set_xlabel(x_label, color=_TEXT)
        axes.set_ylabel(y_label, color=_TEXT)
        axes.tick_params(colors=_TEXT, length=0)
        axes.grid(axis="y", color=_FAINT, linewidth=0.5, alpha=0.5)
        axes.margins(x=0.01)
        for spine in axes.spines.values():
            spine.set_visible(False)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(svg.getvalue())


def _by_time(events: list) -> list:
    return sorted(events, key=lambda event: event.wall_time)


def _themed(svg: str) -> str:
    for drawn, themed in _PAGE_COLORS.items():
        svg = svg.replace(drawn, themed)
    return svg[svg.index("<svg") :]
