"""Charts as SVG, in the colours of their page."""

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Charts are drawn in these placeholder colours. The page's own colours replace them, so that charts follow its themes.
_PAGE_COLORS = {"#010203": "var(--text)", "#040506": "var(--faint)", "#070809": "var(--accent)"}
TEXT, FAINT, ACCENT = _PAGE_COLORS
_LINE_STYLES = ("-", "--", ":", "-.")


def lines(curves: Mapping[str, Sequence[float]], *, x_label: str, y_label: str) -> str:
    """Draws curves over the positions of their values, counted from one.

    Args:
        curves: Values by name.
        x_label: Label of the positions.
        y_label: Label of the values.

    Returns:
        An <svg> element.
    """
    with chart(2.6) as (axes, svg):
        for number, (name, values) in enumerate(curves.items()):
            style = _LINE_STYLES[number % len(_LINE_STYLES)]
            axes.plot(range(1, len(values) + 1), values, style, color=ACCENT, linewidth=2, label=name)
        axes.set_xlabel(x_label, color=TEXT)
        axes.set_ylabel(y_label, color=TEXT)
        axes.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, labelcolor=TEXT)
    return svg[0]


@contextlib.contextmanager
def chart(height: float) -> Iterator[tuple[Axes, list[str]]]:
    """Yields axes to draw on, and a list to which the <svg> element is added at the end."""
    svg: list[str] = []
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seer_tf", "font.size": 10}):
        figure = Figure(figsize=(6.4, height), layout="constrained")
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
