"""Health checks of methods that compare two views: each problem is recognised, and a healthy run has none."""

import math
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.methods.byol import collapse as byol
from seer_tf.methods.moco import collapse as moco
from seer_tf.methods.simclr import collapse as simclr
from seer_tf.pretraining.registry import recipe
from seer_tf.training.health import HealthMonitor, Interval
from seer_tf.training.metrics import (
    DISTINCT_BATCHES,
    LOSS,
    LOSS_SCALE,
    RANK_ME,
    SECONDS_PER_STEP,
    SKIPPED_STEPS,
    WAIT_SHARE,
)
from seer_tf.training.view_metrics import ACCURACY, SPREAD, UNIFORMITY

_HEALTHY = {
    LOSS: 1.0,
    LOSS_SCALE: 1.0,
    SKIPPED_STEPS: 0.0,
    DISTINCT_BATCHES: 50.0,
    WAIT_SHARE: 0.0,
    SECONDS_PER_STEP: 0.1,
    RANK_ME: 40.0,
    ACCURACY: 0.7,
    UNIFORMITY: -3.0,
    SPREAD: 0.9,
}
_METHODS = {"simclr_cifar10": simclr.CHECKS, "moco_v2_cifar10": moco.CHECKS, "byol_cifar10": byol.CHECKS}
_ALIKE = "the embeddings of all images are alike"


def problems(name: str, numbers: dict[str, float], first_step: int = 100) -> dict[str, Any]:
    """Returns the problems of four intervals of 100 steps with these numbers, by condition."""
    config = configs.override(recipe(name), ["run.num_steps=2000", "schedule.warmup_steps=100"])
    monitor, found = HealthMonitor(config, _METHODS[name]), {}
    for step in range(first_step, first_step + 400, 100):
        for problem in monitor.check(Interval(step, step + 100, _HEALTHY | numbers)):
            found[problem.condition] = problem
    return found


@pytest.mark.parametrize("name", _METHODS)
def test_a_healthy_run_has_no_problem(name: str) -> None:
    assert problems(name, {}) == {}


@pytest.mark.parametrize(
    ("name", "numbers", "condition"),
    [
        ("simclr_cifar10", {LOSS: math.log(2 * 128 - 1), ACCURACY: 0.004}, "the loss stays at chance"),
        ("moco_v2_cifar10", {LOSS: 1.01 * math.log(4097)}, "the loss stays at chance"),
        ("simclr_cifar10", {UNIFORMITY: -0.01}, _ALIKE),
        ("moco_v2_cifar10", {UNIFORMITY: -0.01}, _ALIKE),
        ("byol_cifar10", {SPREAD: 0.01}, _ALIKE),
        ("byol_cifar10", {RANK_ME: 1.1}, "the features have collapsed to rank one"),
        ("simclr_cifar10", {RANK_ME: 1.1}, "the features have collapsed to rank one"),
    ],
)
def test_a_collapse_that_lasts_is_recognised(name: str, numbers: dict[str, float], condition: str) -> None:
    found = problems(name, numbers)
    assert found.keys() == {condition}
    half = recipe(name).schedule.peak_learning_rate / 2  # type: ignore[attr-defined]
    assert found[condition].changes == {"schedule.peak_learning_rate": half, "schedule.warmup_steps": 200}


@pytest.mark.parametrize("numbers", [{SPREAD: 0.01}, {RANK_ME: 1.1}])
def test_the_warm_up_does_not_count(numbers: dict[str, float]) -> None:
    assert problems("byol_cifar10", numbers, first_step=-200) == {}


def test_a_number_that_is_not_finite_is_reported_with_the_methods_remedy() -> None:
    config = recipe("moco_v2_cifar10")
    bad = Interval(0, 50, _HEALTHY, first_bad=(7, "the scores"))
    (problem,) = HealthMonitor(config, moco.CHECKS).check(bad)
    assert "the scores at step 7" in str(problem) and "moco.temperature" in str(problem)
