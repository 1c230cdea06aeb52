"""The comparison of runs: one page with the differences of their configs and their curves laid over each other."""

import dataclasses
import io
import os
import pathlib
from collections.abc import Sequence

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.files.atomic import write_atomically
from seer_tf.reports.curves import Curves, read_curves
from seer_tf.reports.page import render_page
from seer_tf.reports.reference_band import COMPARED, Verdict, band
from seer_tf.training.run_directory import RunDirectory

# Of one brightness, and told apart by people who do not see red and green alike (Okabe and Ito).
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_GREY = "#888888"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run to compare.

    Attributes:
        name: what it is called on the page.
        curves: of its log.
        config: or None where only a file of numbers is there.
    """

    name: str
    curves: Curves
    config: Config | None


def read_run(place: str | os.PathLike[str]) -> Run:
    """Reads the directory of a run, or the file that its `log_json` named.

    Raises:
        InputError: it is neither.
    """
    path = pathlib.Path(place)
    return Run(str(place), read_curves(path), None if path.is_file() else RunDirectory(path).read_config())


def config_differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Returns each field in which the runs differ, with the value of each run; runs without a config have `?`."""
    texts = [configs.to_texts(run.config) | {"recipe": run.config.recipe} if run.config else {} for run in runs]
    fields = dict.fromkeys(field for text in texts for field in text)
    rows = [(field, [text.get(field, "?") for text in texts]) for field in fields]
    return [(field, values) for field, values in rows if len(set(values) - {"?"}) > 1]


def render(runs: Sequence[Run], references: Sequence[Curves] = (), verdicts: Sequence[Verdict] = ()) -> str:
    """Returns the page as HTML with everything in it; no script and nothing to fetch.

    Args:
        runs: to compare, each a line in every chart.
        references: runs of a recipe, whose band lies behind the lines.
        verdicts: whether the first run is inside.
    """
    names = sorted({name for run in runs for name in run.curves}, key=lambda name: (name not in COMPARED, name))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0], []).append(chart(name, runs, references))
    return render_page(
        "run_comparison.html.jinja2",
        runs=[(run.name, _COLORS[index % len(_COLORS)]) for index, run in enumerate(runs)],
        differences=config_differences(runs),
        configs_known=all(run.config for run in runs),
        verdicts=verdicts,
        groups=groups,
    )


def write_comparison(
    path: str | os.PathLike[str],
    runs: Sequence[Run],
    references: Sequence[Curves] = (),
    verdicts: Sequence[Verdict] = (),
) -> None:
    """Writes the page that `render` returns, whole or not at all."""
    write_atomically(path, render(runs, references, verdicts))


def chart(name: str, runs: Sequence[Run], references: Sequence[Curves]) -> str:
    """Returns an <svg> element: the curve of one number in each run that has it, over the band of the references."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "seer_tf", "font.size": 9}):
        figure = Figure(figsize=(4.6, 2.5), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        ends = band(list(references), name) if references else {}
        if ends:
            low, high = zip(*ends.values(), strict=True)
            axes.fill_between(list(ends), low, high, color=_GREY, alpha=0.25, linewidth=0)
        for index, run in enumerate(runs):
            curve = run.curves.get(name, {})
            marker = "o" if len(curve) == 1 else None
            axes.plot(list(curve), list(curve.values()), color=_COLORS[index % len(_COLORS)], marker=marker)
        axes.set_title(name.partition("/")[2].replace("_", " "), color=_GREY, fontsize=10, loc="left")
        axes.tick_params(colors=_GREY, length=0)
        axes.grid(color=_GREY, linewidth=0.5, alpha=0.3)
        for spine in axes.spines.values():
            spine.set_visible(False)
        svg = io.StringIO()
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return svg.getvalue()[svg.getvalue().index("<svg") :]
