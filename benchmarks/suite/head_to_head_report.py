"""The results of `swav_pytorch.py` as tables and as a picture. Shapes: S seeds, E examinations."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seer_tf.config import Config
from seer_tf.files.atomic import write_atomically
from seer_tf.methods.swav.metrics import RELATIVE_LOSS
from seer_tf.reports.curves import Curves
from seer_tf.reports.reference_band import Verdict, judge

_WINDOW_STEPS = 50
_FIRST_STEPS = 20
_MOST_DIFFERENT = 1e-5
_NAMES = {"ours": "seer_tf", "peer": "PyTorch"}

Results = Sequence[dict[str, Any]]
"""Result of `head_to_head` for each seed, with its `seed`."""


def tables(results: Results, config: Config) -> str:
    """Returns tables in Markdown that compare losses, k-NN by steps and k-NN by minutes."""
    return "\n".join([*_losses(results, config), "", *_by_step(results), "", *_by_minute(results)])


def _losses(results: Results, config: Config) -> list[str]:
    """Returns a table with the losses of the first steps, and means of fifty beside the band of the peer's seeds."""
    curves = {name: [_curve(found[name]["losses"], config) for found in results] for name in _NAMES}
    lines = [
        "| seed | first loss, seer_tf | PyTorch | difference | largest of the first "
        f"{_FIRST_STEPS} | seer_tf: windows inside the band of PyTorch's seeds | each PyTorch seed in the band of the "
        "others | seconds, seer_tf | PyTorch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    firsts = []
    for number, found in enumerate(results):
        ours, peer = (np.array(found[name]["losses"]) for name in _NAMES)
        firsts.append(abs(ours[0] - peer[0]))
        others = [curve for place, curve in enumerate(curves["peer"]) if place != number]
        cells = [
            f"{found['seed']}",
            *(f"{value:.6f}" for value in (ours[0], peer[0])),
            *(f"{value:.1e}" for value in (firsts[-1], np.abs(ours - peer)[:_FIRST_STEPS].max())),
            _inside(judge(curves["ours"][number], curves["peer"])),
            _inside(judge(curves["peer"][number], others)) if others else "",
            *(f"{found[name]['seconds'][-1]:.0f}" for name in _NAMES),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    equal = "equal" if max(firsts) <= _MOST_DIFFERENT else "NOT equal"
    return [
        *lines,
        "",
        f"The first losses are {equal} to {_MOST_DIFFERENT:g}. A window has {_WINDOW_STEPS} steps. The band reaches "
        "from the lowest to the highest seed, and is widened on both sides by this range, or by at least 3 % of the "
        "loss. A run is inside if nine tenths of its windows are inside (`reports/reference_band.py`).",
    ]


def _curve(losses: Sequence[float], config: Config) -> Curves:
    """Returns the means of fifty steps over ln K, by the last of these steps."""
    whole = len(losses) // _WINDOW_STEPS or 1
    means = [np.mean(window) for window in np.array_split(losses[: whole * _WINDOW_STEPS], whole)]
    ln_k = np.log(config.head.num_prototypes)
    return {RELATIVE_LOSS: {(number + 1) * _WINDOW_STEPS: float(mean / ln_k) for number, mean in enumerate(means)}}


def _inside(verdicts: list[Verdict]) -> str:
    [verdict] = verdicts
    return f"{verdict.num_inside} of {verdict.num_steps}: {'inside' if verdict.is_inside else 'OUTSIDE'}"


def _by_step(results: Results) -> list[str]:
    """Returns a table with the k-NN after equal numbers of steps."""
    steps = [step for step, _, _ in results[0]["ours"]["examinations"]]
    top1 = {name: 100 * _examinations(results, name)[:, :, 2] for name in _NAMES}  # [S, E]
    lines = [
        f"| k-NN % after steps | seer_tf, mean ± sd of {len(results)} seeds | PyTorch | difference | standard error "
        "of it | |",
        "|---|---|---|---|---|---|",
    ]
    for number, step in enumerate(steps):
        ours, peer = (top1[name][:, number] for name in _NAMES)
        difference, error = ours.mean() - peer.mean(), np.sqrt((_variance(ours) + _variance(peer)) / len(ours))
        verdict = "" if np.isnan(error) else "equal" if abs(difference) <= 2 * error else "differ"
        if step == 0:
            verdict = "the same weights"
        cells = [_mean_and_sd(ours), _mean_and_sd(peer), f"{difference:+.1f}", f"{error:.1f}", verdict]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return [*lines, "", "Equal: the difference is at most two standard errors."]


def _by_minute(results: Results) -> list[str]:
    """Returns a table with the k-NN after equal times of training, by linear interpolation between examinations."""
    found = {name: _examinations(results, name) for name in _NAMES}  # [S, E, 3]
    shortest = min(examined[:, -1, 1].min() for examined in found.values())
    lines = ["| k-NN % after minutes of training | seer_tf | PyTorch |", "|---|---|---|"]
    for seconds in np.linspace(0, shortest, 6)[1:]:
        cells = [
            _mean_and_sd(100 * np.array([np.interp(seconds, of_seed[:, 1], of_seed[:, 2]) for of_seed in found[name]]))
            for name in _NAMES
        ]
        lines.append(f"| {seconds / 60:.1f} | {' | '.join(cells)} |")
    return lines


def _examinations(results: Results, name: str) -> np.ndarray:
    return np.array([found[name]["examinations"] for found in results])


def _variance(values: np.ndarray) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else np.nan


def _mean_and_sd(values: np.ndarray) -> str:
    return f"{values.mean():.1f}" + (f" ± {np.sqrt(_variance(values)):.1f}" if len(values) > 1 else "")


def write_references(results: Results, config: Config, directory: Path) -> None:
    """Writes the peer's losses as reference runs, which `compare_runs` reads: DIRECTORY/seed-S.jsonl for each seed."""
    directory.mkdir(exist_ok=True)
    for found in results:
        curve = _curve(found["peer"]["losses"], config)[RELATIVE_LOSS]
        lines = [json.dumps({"step": step, RELATIVE_LOSS: value}) for step, value in curve.items()]
        write_atomically(directory / f"seed-{found['seed']}.jsonl", "\n".join([*lines, ""]))


def draw(results: Results, config: Config, picture: Path) -> None:
    """Draws both curves of every seed: loss and k-NN by steps, and k-NN by minutes.

    Args:
        results: Results of all seeds.
        config: Run configuration.
        picture: PNG file to write.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    by_step = figure.add_subplot(1, 3, 1, xlabel="step", ylabel=f"loss / ln K, means of {_WINDOW_STEPS}")
    knn = figure.add_subplot(1, 3, 2, xlabel="step", ylabel="k-NN %")
    by_time = figure.add_subplot(1, 3, 3, xlabel="minutes of training", ylabel="k-NN %", sharey=knn)
    for name, color in (("peer", "tab:orange"), ("ours", "tab:blue")):
        for number, found in enumerate(results):
            style: dict[str, Any] = {"color": color, "linewidth": 1, "label": None if number else _NAMES[name]}
            curve = _curve(found[name]["losses"], config)[RELATIVE_LOSS]
            by_step.plot(list(curve), list(curve.values()), **style)
            steps, seconds, top1 = np.array(found[name]["examinations"]).T
            knn.plot(steps, 100 * top1, marker=".", **style)
            by_time.plot(seconds / 60, 100 * top1, marker=".", **style)
    by_step.legend()
    FigureCanvasAgg(figure).print_png(str(picture))
