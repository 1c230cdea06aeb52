"""The study of criteria finds known correlations and selections, and reads real runs."""

import math
import pathlib

import pytest

from benchmarks.suite.checkpoint_criteria import CRITERIA, Checkpoint, measured, score, table
from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf import config as configs
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.training.run_directory import RunDirectory


def _run(top1: list[float], values: list[float]) -> list[Checkpoint]:
    return [
        Checkpoint(step, right, {"value": value}) for step, (right, value) in enumerate(zip(top1, values, strict=True))
    ]


def test_a_criterion_is_scored_by_ranks_and_by_its_selection() -> None:
    rising = _run([0.1, 0.2, 0.3, 0.4], [1, 2, 30, 400])  # the values rise with the accuracy
    falling = _run([0.4, 0.3, 0.2, 0.1], [5, 6, 7, 8])  # the values rise while the accuracy falls
    overtrained = _run([0.1, 0.4, 0.3, 0.2], [1, 9, 8, 7])
    collapsed = _run([0.2, 0.2, 0.2, 0.2], [3, 1, 2, 3])  # without any order; of two equal values, the earlier counts
    found = score(lambda numbers: numbers["value"], [rising, falling, overtrained, collapsed])
    assert found.of_runs[:3] == pytest.approx([1, -1, 1]) and math.isnan(found.of_runs[3])
    assert found.gains == pytest.approx([0, 0, 0.2, 0])
    assert found.lost == pytest.approx([0, 0.3, 0, 0])
    assert found.prefix_gains == pytest.approx([0, 0, 0, 0, 0, 0, 0, 0.1, 0.2, 0, 0, 0])

    missed = score(lambda numbers: numbers["value"], [_run([0.1, 0.9, 0.3], [1, 0, 2])])
    assert (
        missed.gains == [0] and missed.lost == pytest.approx([0.6]) and missed.prefix_gains == pytest.approx([-0.8, 0])
    )

    shared = score(lambda numbers: numbers["value"], [rising, _run([0.5, 0.6], [500, 600])])
    assert shared.overall == pytest.approx(1)


def test_a_collapsed_network_has_high_agreement_but_a_low_product_with_rank() -> None:
    healthy = {name: 0.5 for name in _names()} | {"features/rank_me": 100.0, "bank/rank_me": 100.0}
    collapsed = healthy | {
        "features/rank_me": 1.0,
        "bank/rank_me": 1.0,
        "prototypes/agreement_of_views": 1.0,
        "loss/relative_to_ln_K": 1.0,
    }
    run = [Checkpoint(0, 0.5, healthy), Checkpoint(1, 0.2, collapsed)]
    assert score(CRITERIA["agreement"], [run]).gains == [0]
    for name in (
        *("RankMe", "RankMe x agreement", "ln RankMe x agreement", "ln RankMe x certain predictions"),
        "RankMe x (1 - loss / ln K)",
    ):
        assert score(CRITERIA[name], [run]).gains == pytest.approx([0.3]), name
    lines = table({"one": run}).splitlines()
    assert "| one | 2 | 50.0 | 50.0, 0 | 20.0 |" in lines
    assert any(line.startswith("| RankMe | 1.00 | 1.00 | 1.00 | +30.0 | 0.0 | 1 / 0 / 0 | +30.00 |") for line in lines)


def _names() -> set[str]:
    """Returns the names of the numbers that the criteria use."""
    asked: set[str] = set()

    class Asked(dict[str, float]):
        def __missing__(self, name: str) -> float:
            asked.add(name)
            return 1.0

    for criterion in CRITERIA.values():
        criterion(Asked())
    return asked


@pytest.mark.slow
def test_the_checkpoints_of_a_run_are_measured(tmp_path: pathlib.Path) -> None:
    assignments = ["run.checkpoint_every_steps=5", "run.keep_every_steps=5"]
    config = configs.override(recipe("debug_tiny"), assignments)
    pretrain(config, open_source("builtin"), RunDirectory(tmp_path / "run"))
    bank = LabelledBank(
        Selection(open_source("builtin"), range(200)), Selection(open_source("builtin:test"), range(200)), 32
    )
    found = measured(str(tmp_path / "run"), bank)
    assert [checkpoint.step for checkpoint in found] == [5, 10, 15, 20]
    assert _names() <= found[0].numbers.keys()
    assert all(0.05 < checkpoint.top1 < 0.9 for checkpoint in found) and len({each.top1 for each in found}) > 1
    with pytest.raises(InputError, match="has no config.json"):
        measured(str(tmp_path), bank)
