"""Collects the results of evaluations on one HTML page: report.py RUN… --output=FILE.

Published numbers appear beside results of the same evaluation on the same images. A RUN is a run directory, or a file
with the JSON lines that evaluations print.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from seer_tf.errors import InputError
from seer_tf.evaluation.published_results import PublishedNumber, published_beside
from seer_tf.evaluation.result import EvaluationResult, read_file
from seer_tf.files.atomic import check_file
from seer_tf.quantities import counted
from seer_tf.reports.evaluation_report import Group, Row, write_evaluation_report

RUNS = flags.DEFINE_multi_string("run", [], "A run directory, or a file with JSON lines. Repeatable.")
POSITIONAL = RUNS
OUTPUT = flags.DEFINE_string("output", "evaluations.html", "HTML file to write.")

_NAMES = {"knn": "k-NN", "linear_probe": "linear probe", "linear_svm": "linear SVM"}


def main() -> None:
    """Runs the command."""
    if not RUNS.value:
        raise InputError("name the runs: report.py RUN…, where each RUN is a run directory or a file with JSON lines")
    check_file(OUTPUT.value)
    outcomes = {outcome.to_json(): outcome for run in RUNS.value for outcome in read_file(_file(run))}
    groups = [_group(list(members)) for _, members in itertools.groupby(sorted(outcomes.values(), key=_key), _key)]
    write_evaluation_report(groups, OUTPUT.value)
    print(f"{OUTPUT.value}: {counted(len(outcomes), 'result')}")


def _file(run: str) -> Path:
    return Path(run) / "evaluations.jsonl" if Path(run).is_dir() else Path(run)


def _key(outcome: EvaluationResult) -> tuple[str, str, str, int, int]:
    return outcome.evaluation, outcome.metric, outcome.test_data, outcome.num_test_images, outcome.num_classes


def _group(outcomes: Sequence[EvaluationResult]) -> Group:
    evaluation, metric, test_data, num_images, num_classes = _key(outcomes[0])
    has_name_alone = len({_kind(outcome) for outcome in outcomes}) == 1
    published = {row: None for outcome in outcomes for row in published_beside(outcome)}
    return Group(
        f"{_NAMES.get(evaluation, evaluation)} on {test_data}",
        f"{metric}; {counted(num_images, 'test image')}, {counted(num_classes, 'class')}.",
        [*(_of_outcome(outcome, has_name_alone) for outcome in outcomes), *map(_of_published, published)],
    )


def _kind(outcome: EvaluationResult) -> str:
    """Returns the beginning of the protocol, which distinguishes results of one network."""
    return outcome.protocol.partition(";")[0].partition(",")[0].partition(":")[0]


def _of_outcome(outcome: EvaluationResult, has_name_alone: bool) -> Row:
    name = Path(outcome.network).name
    fitted = (
        f"; from {counted(outcome.num_train_images, 'image')} of {outcome.train_data}" if outcome.train_data else ""
    )
    return Row(
        name if has_name_alone else f"{name}: {_kind(outcome)}",
        f"{outcome.protocol}{fitted}; seed {outcome.seed}",
        outcome.value,
        outcome.interval,
        outcome.details.get("curve", ()),
    )


def _of_published(row: PublishedNumber) -> Row:
    return Row(row.model, row.source, row.percent / 100, None)
