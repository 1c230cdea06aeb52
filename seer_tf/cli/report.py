"""Collects what evaluations have found on one HTML page, beside the paper's numbers: report.py RUN… --output=FILE.

A RUN is the directory of a run, or a file with the JSON lines that evaluations print.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from seer_tf.errors import InputError
from seer_tf.evaluation.published_results import PUBLISHED_NUMBERS, PublishedNumber, published_beside
from seer_tf.evaluation.result import HEADER, EvaluationResult, read_file
from seer_tf.files.atomic import check_file
from seer_tf.reports.evaluation_report import Group, Row, write_evaluation_report

RUNS = flags.DEFINE_multi_string("run", [], "Directory of a run, or a file of JSON lines. Repeatable.")
POSITIONAL = RUNS
OUTPUT = flags.DEFINE_string("output", "evaluations.html", "HTML file to write.")

_PUBLISHED_HEADER = ("evaluation", "data", "model", "metric", "%", "source")


def main() -> None:
    """Runs the command."""
    if not RUNS.value:
        raise InputError("name the runs: report.py RUN…, each a run's directory or a file of JSON lines")
    check_file(OUTPUT.value)
    outcomes = [outcome for run in RUNS.value for outcome in read_file(_file(run))]
    groups = [_group(list(members)) for _, members in itertools.groupby(sorted(outcomes, key=_key), _key)]
    published = [(p.evaluation, p.data, p.model, p.metric, f"{p.percent:g}", p.source) for p in PUBLISHED_NUMBERS]
    write_evaluation_report(groups, published, OUTPUT.value, header=HEADER, published_header=_PUBLISHED_HEADER)
    print(f"{OUTPUT.value}: {len(outcomes)} results")


def _file(run: str) -> Path:
    return Path(run) / "evaluations.jsonl" if Path(run).is_dir() else Path(run)


def _key(outcome: EvaluationResult) -> tuple[str, str, str]:
    return outcome.evaluation, outcome.metric, outcome.test_data


def _group(outcomes: Sequence[EvaluationResult]) -> Group:
    evaluation, metric, test_data = _key(outcomes[0])
    rows = [_of_outcome(outcome) for outcome in outcomes]
    rows += [_of_published(row) for row in published_beside(evaluation, test_data) if row.metric == metric]
    return Group(f"{evaluation} on {test_data}", metric, rows)


def _of_outcome(outcome: EvaluationResult) -> Row:
    low, high = outcome.interval
    protocol = outcome.protocol.partition(";")[0].partition(",")[0].partition(":")[0]
    return Row(
        f"{Path(outcome.network).name}: {protocol}",
        outcome.cells(),
        100 * outcome.value,
        (100 * low, 100 * high),
        [100 * share for share in outcome.details.get("curve", ())],
    )


def _of_published(row: PublishedNumber) -> Row:
    cells = (
        row.evaluation,
        row.source,
        f"{row.model}, published",
        "",
        row.data,
        row.metric,
        f"{row.percent:g}",
        "",
        "",
    )
    return Row(f"{row.model}, {row.source}", cells, row.percent, None)
