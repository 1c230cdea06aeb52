"""The files of a comparison of methods: JSON that a later call reads again, a CSV table, and two pages."""

import csv
import dataclasses
import io
import json
from pathlib import Path

from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.files.atomic import write_atomically
from seer_tf.reports.charts import ACCENT, FAINT, TEXT, chart
from seer_tf.reports.method_comparison import PROTOCOLS, MethodComparison
from seer_tf.reports.page import render_page
from seer_tf.reports.run_comparison import read_run
from seer_tf.reports.run_comparison import write_comparison as write_curves

_RESULTS = "results.json"
PAGE, CURVES = "comparison.html", "curves.html"
_COLUMNS = ("name", "seed", "network", "steps", "batch", "crops", "minutes", "retries", "rank_me")


def read_comparison(directory: Path) -> MethodComparison | None:
    """Returns the comparison that an earlier call has written; None if there is none.

    Raises:
        InputError: The file is damaged.
    """
    file = directory / _RESULTS
    try:
        return sealed_json.read(file.read_bytes(), MethodComparison)
    except FileNotFoundError:
        return None
    except sealed_json.DamagedJsonError as error:
        raise InputError(f"{file} is damaged ({error}); remove it, and the runs are evaluated again") from None


def write_comparison(found: MethodComparison, directory: Path) -> None:
    """Writes all files, each completely or not at all."""
    values = json.loads(json.dumps(dataclasses.asdict(found)))
    write_atomically(directory / _RESULTS, sealed_json.text(values))
    write_atomically(directory / "results.csv", table(found))
    write_atomically(directory / PAGE, page(found))
    write_curves(directory / CURVES, [read_run(entry.run) for entry in found.entries])


def table(found: MethodComparison) -> str:
    """Returns a line of CSV for each run; accuracies and RankMe are not rounded."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *PROTOCOLS, "run"])
    for entry in found.entries:
        numbers = [entry.accuracies.get(protocol, "") for protocol in PROTOCOLS]
        writer.writerow([*(getattr(entry, column) for column in _COLUMNS), *numbers, entry.run])
    return text.getvalue()


def page(found: MethodComparison) -> str:
    """Returns the page as self-contained HTML without scripts."""
    pictures = [(name, _picture(found, protocol)) for protocol, name in PROTOCOLS.items() if found.values(protocol)]
    return render_page(
        "method_comparison.html.jinja2",
        title="Comparison of methods",
        found=found,
        pictures=pictures,
        curves=CURVES,
        sentences=[sentence.replace("`", "") for sentence in found.recommendation()],
    )


def _picture(found: MethodComparison, protocol: str) -> str:
    """Returns an <svg> element: a dot for each run, a bar at each mean, and a line for each baseline."""
    values = found.values(protocol)
    with chart(0.6 + 0.4 * len(values)) as (axes, svg):
        for row, runs in enumerate(values.values()):
            axes.plot([100 * value for value in runs], [row] * len(runs), "o", color=ACCENT, alpha=0.6)
            axes.plot([100 * sum(runs) / len(runs)], [row], "|", color=TEXT, markersize=18, markeredgewidth=2)
        for style, (name, accuracies) in zip("-:", found.baselines.items(), strict=False):
            axes.axvline(100 * accuracies[protocol], linestyle=style, color=FAINT, label=name)
        axes.set_yticks(range(len(values)), list(values))
        axes.invert_yaxis()
        axes.set_xlabel("top-1, %", color=TEXT)
        axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.5)
        axes.legend(frameon=False, labelcolor=TEXT)
    return svg[0]
