"""Criteria that choose a checkpoint without labels, and their scores. Used by `checkpoint_choice.py`."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.stats
import tensorflow as tf

from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import image_features
from seer_tf.methods.swav.metrics import PREDICTION_ENTROPY, RELATIVE_LOSS
from seer_tf.models.embeddings import rank_me
from seer_tf.networks.pretrained import load_model
from seer_tf.pretraining.logger import quality_without_labels
from seer_tf.progress import Progress
from seer_tf.reports.curves import read_curves
from seer_tf.training.checkpoints import restore
from seer_tf.training.metrics import FEATURE_STD, RANK_ME
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import model_variables

#: RankMe of the whole bank; the log's RankMe covers only a few images.
BANK_RANK_ME = "bank/rank_me"

_AGREEMENT = "prototypes/agreement_of_views"
_CODES = "prototypes/entropy_of_codes"
_IN_USE = "prototypes/share_in_use"

Numbers = Mapping[str, float]
"""Numbers of a checkpoint that need no labels, by their names in the log."""


def _learned(numbers: Numbers) -> float:
    return 1 - numbers[RELATIVE_LOSS]


#: Functions from the numbers of a checkpoint to a value; higher is better.
CRITERIA: dict[str, Callable[[Numbers], float]] = {
    "RankMe": lambda n: n[RANK_ME],
    "RankMe of the bank": lambda n: n[BANK_RANK_ME],
    "low loss / ln K": _learned,
    "agreement": lambda n: n[_AGREEMENT],
    "certain predictions": lambda n: -n[PREDICTION_ENTROPY],
    "ln RankMe x certain predictions": quality_without_labels,
    "certain codes": lambda n: -n[_CODES],
    "prototypes in use": lambda n: n[_IN_USE],
    "std": lambda n: n[FEATURE_STD],
    "RankMe x agreement": lambda n: n[RANK_ME] * n[_AGREEMENT],
    "RankMe x (1 - loss / ln K)": lambda n: n[RANK_ME] * _learned(n),
    "RankMe of the bank x agreement": lambda n: n[BANK_RANK_ME] * n[_AGREEMENT],
    "ln RankMe x agreement": lambda n: math.log(n[RANK_ME]) * n[_AGREEMENT],
    "ln RankMe x (1 - loss / ln K)": lambda n: math.log(n[RANK_ME]) * _learned(n),
    "std x agreement": lambda n: n[FEATURE_STD] * n[_AGREEMENT],
    "agreement x prototypes in use": lambda n: n[_AGREEMENT] * n[_IN_USE],
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run.

    Attributes:
        step: Step of the checkpoint.
        top1: Accuracy of the k-NN, as a share.
        numbers: Numbers that need no labels, by name.
    """

    step: int
    top1: float
    numbers: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Score:
    """The score of a criterion.

    Attributes:
        of_runs: Rank correlation with k-NN over the checkpoints of each run; NaN if criterion or k-NN never changes.
        overall: Rank correlation with k-NN over the checkpoints of all runs.
        gains: k-NN of the selected checkpoint minus k-NN of the latest, at the end of each run, as shares.
        prefix_gains: The same gain at every checkpoint except the first of each run, as if the run ended there.
        lost: k-NN of each run's best checkpoint minus k-NN of the selected one, as shares.
    """

    of_runs: list[float]
    overall: float
    gains: list[float]
    prefix_gains: list[float]
    lost: list[float]


def score(criterion: Callable[[Numbers], float], runs: Sequence[Sequence[Checkpoint]]) -> Score:
    """Returns the score of a criterion over runs, each with its checkpoints in order."""
    values = [np.array([criterion(checkpoint.numbers) for checkpoint in run]) for run in runs]
    top1 = [np.array([checkpoint.top1 for checkpoint in run]) for run in runs]
    selected = [right[_selected(value)] for value, right in zip(values, top1, strict=True)]
    gains = [chosen - right for chosen, right in zip(selected, top1, strict=True)]
    return Score(
        of_runs=[_rank_correlation(value, right) for value, right in zip(values, top1, strict=True)],
        overall=_rank_correlation(np.concatenate(values), np.concatenate(top1)),
        gains=[float(gain[-1]) for gain in gains],
        prefix_gains=np.concatenate([gain[1:] for gain in gains]).tolist(),
        lost=[float(right.max() - chosen[-1]) for chosen, right in zip(selected, top1, strict=True)],
    )


def _selected(values: np.ndarray) -> list[int]:
    """Returns the best checkpoint so far at each checkpoint; of two equals the earlier, as in `checkpoints.kept`."""
    return [int(values[: end + 1].argmax()) for end in range(len(values))]


def _rank_correlation(values: np.ndarray, top1: np.ndarray) -> float:
    if np.ptp(values) == 0 or np.ptp(top1) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(values, top1).statistic)


def table(runs: Mapping[str, Sequence[Checkpoint]]) -> str:
    """Returns Markdown tables with the k-NN of every run and the scores of all criteria, the best first."""
    lines = ["| run | checkpoints | first | best, at step | latest |", "|---|---|---|---|---|"]
    for name, run in runs.items():
        best = max(run, key=lambda checkpoint: checkpoint.top1)
        lines.append(
            f"| {name} | {len(run)} | {_percent(run[0].top1)} | {_percent(best.top1)}, {best.step} | "
            f"{_percent(run[-1].top1)} |"
        )
    scores = {name: score(criterion, list(runs.values())) for name, criterion in CRITERIA.items()}
    lines += [
        "",
        f"| criterion | rank correlation in {', '.join(runs)} | their mean | over all | gain over the latest, points "
        "| lost to the best, points | better / same / worse than the latest at any checkpoint | mean gain there |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in sorted(scores.items(), key=lambda item: -float(np.mean(item[1].prefix_gains))):
        cells = [
            ", ".join(f"{value:.2f}" for value in found.of_runs),
            f"{_mean_of_known(found.of_runs):.2f}",
            f"{found.overall:.2f}",
            f"{100 * np.mean(found.gains):+.1f}",
            f"{100 * np.mean(found.lost):.1f}",
            " / ".join(f"{np.sum(np.sign(found.prefix_gains) == sign)}" for sign in (1, 0, -1)),
            f"{100 * np.mean(found.prefix_gains):+.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean_of_known(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def measured(run_dir: str, bank: LabelledBank) -> list[Checkpoint]:
    """Returns the checkpoints of a run with their k-NN and their numbers in the log.

    Raises:
        InputError: The run has fewer than three checkpoints, or one of them has no line in the log.
    """
    directory = RunDirectory(run_dir)
    _, model = load_model(run_dir, untrained=True)
    steps, curves = directory.checkpoint_steps(), read_curves(run_dir)
    if len(steps) < 3:
        raise InputError(f"{run_dir} has {len(steps)} checkpoints; keep more by --set=run.keep_every_steps=N")
    features = tf.function(image_features(model), reduce_retracing=True)
    found = []
    with Progress(len(steps), "checkpoint", str(directory.path)) as progress:
        for step in steps:
            numbers = {name: curve[step] for name, curve in curves.items() if step in curve}
            if RANK_ME not in numbers:
                raise InputError(
                    f"the log of {run_dir} has no line at step {step}; make run.checkpoint_every_steps a multiple of "
                    "run.log_every_steps"
                )
            restore(model_variables(model), directory.checkpoint(step), strict=False)
            rows, queries = bank.features(features)
            numbers[BANK_RANK_ME] = float(rank_me(tf.constant(rows)))
            found.append(Checkpoint(step, bank.top1(rows, queries), numbers))
            progress.advance(1, f"k-NN {found[-1].top1:.1%}")
    return found
