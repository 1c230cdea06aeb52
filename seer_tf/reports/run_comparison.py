"""The comparison of runs: one page with the differences between their configs and their overlaid curves."""

import dataclasses
import io
import math
import os
import pathlib
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.files.atomic import write_atomically
from seer_tf.networks.pretrained import read_config
from seer_tf.quantities import counted
from seer_tf.reports.curves import Curves, read_curves
from seer_tf.reports.learning_curve import RELATIVE_LOSS
from seer_tf.reports.page import render_page
from seer_tf.reports.reference_band import COMPARED, Verdict, band
from seer_tf.reports.units import SHARES, unit
from seer_tf.training import metrics
from seer_tf.training.conclusion import read_conclusion
from seer_tf.training.retries import Retry, read_retries
from seer_tf.training.run_directory import RunDirectory

# Colours of similar brightness that people with red-green colour blindness can tell apart (Okabe and Ito).
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_DASHES = ("none", "7 3", "2 2")  # SVG dashes; runs beyond the number of colours get the later ones
_GREY = "#888888"
_ON_TOP = ("features/", "loss/", "probe/", "prototypes/")
#: Numbers that repeat another number in other units; a page shows only the other number.
_SAME_CURVES = {
    metrics.LOSS: RELATIVE_LOSS,
    metrics.SECONDS_PER_STEP: metrics.IMAGES_PER_SECOND,
}


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A run to compare.

    Attributes:
        name: Name on the page.
        curves: Curves of its log.
        config: Run configuration; None if there is only a file of numbers.
        retries: Retries of the run; none if there is only a file of numbers.
        conclusion: What the run says about its result; empty if it is not complete.
    """

    name: str
    curves: Curves
    config: PretrainingConfig | None
    retries: Sequence[Retry] = ()
    conclusion: str = ""


def read_run(place: str | os.PathLike[str]) -> ComparedRun:
    """Reads a run directory, or the `log_json` file of a run.

    Raises:
        InputError: The path is neither.
    """
    path, directory = pathlib.Path(place), RunDirectory(place)
    if path.is_file():
        return ComparedRun(str(place), read_curves(path), None)
    return ComparedRun(
        str(place), read_curves(path), read_config(directory), read_retries(directory), read_conclusion(directory)
    )


def config_differences(runs: Sequence[ComparedRun]) -> list[tuple[str, list[str]]]:
    """Returns each config field that differs, with the value in each run; runs without a config have `?`."""
    texts = [configs.to_texts(run.config) | {"recipe": run.config.recipe} if run.config else {} for run in runs]
    fields = dict.fromkeys(field for text in texts for field in text)
    rows = [(field, [text.get(field, "?") for text in texts]) for field in fields]
    return [(field, values) for field, values in rows if len(set(values) - {"?"}) > 1]


def render(
    runs: Sequence[ComparedRun],
    references: Sequence[Curves] = (),
    verdicts: Sequence[Verdict] = (),
    reference: str = "",
) -> str:
    """Returns the page as self-contained HTML without scripts.

    Args:
        runs: Runs to compare; each run has a line in every chart.
        references: Curves of a recipe's reference runs, whose band is drawn behind the lines.
        verdicts: Verdicts on the first run.
        reference: Name of the references.
    """
    groups: dict[str, list[str]] = {}
    for name in shown_numbers(runs):
        groups.setdefault(name.partition("/")[0], []).append(chart(name, runs, references))
    return render_page(
        "run_comparison.html.jinja2",
        title="Comparison of runs",
        runs=[(run.name, *_line(index)) for index, run in enumerate(runs)],
        band=f"band of {counted(len(references), 'reference run')} of {reference}" if references else "",
        conclusions=[(run.name, run.conclusion) for run in runs if run.conclusion],
        retries=[(run.name, retry) for run in runs for retry in run.retries],
        differences=config_differences(runs),
        configs_known=all(run.config for run in runs),
        verdicts=verdicts,
        groups=groups,
    )


def shown_numbers(runs: Sequence[ComparedRun]) -> list[str]:
    """Returns the names of numbers that have a chart, by group; the most informative groups and numbers come first."""
    names = {
        name for run in runs for name, curve in run.curves.items() if any(math.isfinite(y) for y in curve.values())
    }
    return sorted(
        (name for name in names if _SAME_CURVES.get(name) not in names),
        key=lambda name: (not name.startswith(_ON_TOP), name.partition("/")[0], name not in COMPARED, name),
    )


def write_comparison(
    path: str | os.PathLike[str],
    runs: Sequence[ComparedRun],
    references: Sequence[Curves] = (),
    verdicts: Sequence[Verdict] = (),
    reference: str = "",
) -> None:
    """Writes the page that `render` returns, completely or not at all."""
    write_atomically(path, render(runs, references, verdicts, reference))


def chart(name: str, runs: Sequence[ComparedRun], references: Sequence[Curves]) -> str:
    """Returns an <svg> element: the curves of one number in all runs that have it, over the band of the references."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seer_tf", "font.size": 9}):
        figure = Figure(figsize=(4.6, 2.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        scale = 100.0 if name in SHARES else 1.0
        _draw_band(axes, band(list(references), name) if references else {}, scale)
        for index, run in enumerate(runs):
            curve = run.curves.get(name, {})
            color, dashes = _line(index)
            style = "-" if dashes == "none" else (0, tuple(map(float, dashes.split())))
            marker = "o" if len(curve) == 1 else None
            axes.plot(list(curve), [scale * y for y in curve.values()], color=color, linestyle=style, marker=marker)
        _set_limits(axes, name, last_step=max(step for run in runs for curve in run.curves.values() for step in curve))
        axes.set_title(name.partition("/")[2].replace("_", " "), color=_GREY, fontsize=10, loc="left")
        axes.set_xlabel("step", color=_GREY)
        axes.set_ylabel(unit(name), color=_GREY)
        axes.tick_params(colors=_GREY, length=0)
        axes.grid(color=_GREY, linewidth=0.5, alpha=0.3)
        for spine in axes.spines.values():
            spine.set_visible(False)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return svg.getvalue()[svg.getvalue().index("<svg") :]


def _draw_band(axes: Axes, ends: dict[int, tuple[float, float]], scale: float) -> None:
    if ends:
        low, high = (scale * np.array(values) for values in zip(*ends.values(), strict=True))
        axes.fill_between(list(ends), low, high, color=_GREY, alpha=0.25, linewidth=0)
    if len(ends) == 1:  # a band at one step has no area
        axes.vlines(list(ends), low, high, color=_GREY, alpha=0.25, linewidth=10)


def _set_limits(axes: Axes, name: str, last_step: int) -> None:
    """Shows the same steps in all charts, and only values that a number can have."""
    low, high = axes.get_ylim()
    can_be_negative = axes.dataLim.ymin < 0
    axes.set_ylim(low if can_be_negative else max(low, 0.0), min(high, 100.0) if name in SHARES else high)
    axes.set_xlim(0, last_step)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    for drawn in axes.get_children():
        drawn.set_clip_on(False)  # so that lines along the edge keep their whole width


def _line(index: int) -> tuple[str, str]:
    """Returns colour and dashes of a run's line."""
    return _COLORS[index % len(_COLORS)], _DASHES[index // len(_COLORS) % len(_DASHES)]
