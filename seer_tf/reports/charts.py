"""Charts as SVG, in the colours of the page that they stand on."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Drawn in these, then named as the page's own colours, so that a chart follows its light and dark themes.
_PAGE_COLORS = {"#010203": "var(--text)", "#040506": "var(--faint)", "#070809": "var(--accent)"}
TEXT, FAINT, ACCENT = _PAGE_COLORS
_LINE_STYLES = ("-", "--", ":", "-.")


def interval_bars(values: Sequence[tuple[str, float, tuple[float, float]]], *, x_label: str) -> str:
    """Draws a bar for each value, with a line over its interval.

    Args:
        values: name, value and interval, the first on top.
        x_label: what the values are.

    Returns:
        An <svg> element.
    """
    with chart(0.7 + 0.42 * len(values)) as (axes, svg):
        places = range(len(values))
        numbers = [value for _, value, _ in values]
        errors = [[max(0.0, v - low) for _, v, (low, _) in values], [max(0.0, high - v) for _, v, (_, high) in values]]
        axes.barh(places, numbers, height=0.55, color=ACCENT, alpha=0.75)
        axes.errorbar(numbers, places, xerr=errors, fmt="none", ecolor=TEXT, elinewidth=1.2, capsize=3)
        axes.set_yticks(places, [name for name, _, _ in values])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.set_xlabel(x_label, color=TEXT)
        axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.5)
    return svg[0]


def lines(curves: Mapping[str, Sequence[float]], *, x_label: str, y_label: str) -> str:
    """Draws curves, each from one on.

    Args:
        curves: values by name.
        x_label: what is counted.
        y_label: what the values are.

    Returns:
        An <svg> element.
    """
    with chart(3.2) as (axes, svg):
        for number, (name, values) in enumerate(curves.items()):
            style = _LINE_STYLES[number % len(_LINE_STYLES)]
            axes.plot(range(1, len(values) + 1), values, style, color=ACCENT, linewidth=2, label=name)
        axes.set_xlabel(x_label, color=TEXT)
        axes.set_ylabel(y_label, color=TEXT)
        axes.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.5)
        axes.legend(frameon=False, labelcolor=TEXT)
    return svg[0]


@contextlib.contextmanager
def chart(height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Gives axes to draw on and a list that has the <svg> element afterwards."""
    svg: list[str] = []
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seer_tf", "font.size": 11}):
        figure = Figure(figsize=(9, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        yield axes, svg
        axes.tick_params(colors=TEXT, length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    for drawn, themed in _PAGE_COLORS.items():
        text = text.replace(drawn, themed)
    svg.append(text[text.index("<svg") :])
