"""Health and collapse checks: steps of a real network provoke each problem, and healthy runs have none."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.methods.swav import collapse
from seer_tf.methods.swav import metrics as swav_metrics
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.gallery import Gallery
from seer_tf.pretraining.recipes import recipe
from seer_tf.training import health
from seer_tf.training import metrics as run_metrics
from seer_tf.training.health import HealthMonitor, Interval, Problem
from seer_tf.training.loop import steps_function
from seer_tf.training.step import checked_tensors
from tests.places import ROOT

Crops = tuple[tf.Tensor, ...]
_REFERENCES = ROOT / "seer_tf" / "reports" / "reference_runs"
_REFERENCE_FILES = [file for file in sorted(_REFERENCES.glob("*/*.jsonl")) if "pytorch" not in file.parent.name]
_CONFIG = configs.override(
    recipe("debug_tiny"),
    [
        "data.global_batch_size=8",
        "run.num_steps=200",
        "run.reduce_precision=float16",  # for a loss scale
        "schedule.warmup_steps=1",
        "schedule.final_learning_rate=1e-9",
        "swav.freeze_prototypes_steps=0",
    ],
)


class Lab:
    """A network, its training steps and its gallery. Every test starts from the initial weights."""

    def __init__(self) -> None:
        self.state = TrainState(_CONFIG)
        self.gallery = Gallery(Selection(open_source("builtin"), range(40)), _CONFIG, self.state.model)
        self._advance = steps_function(self.state, tf.distribute.get_strategy(), train_step)
        self._initial = {name: variable.numpy() for name, variable in self.state.named_variables().items()}

    def reset(self) -> None:
        for name, variable in self.state.named_variables().items():
            variable.assign(self._initial[name])

    def problems(self, batches: Iterator[Crops], lengths: list[int], config: Config = _CONFIG) -> dict[str, str]:
        """Runs intervals of these lengths. Returns the sentence of each problem, by condition."""
        monitor, step, found = HealthMonitor(config, collapse.CHECKS), 0, {}
        batch = next(batches)
        for length in lengths:
            started = time.monotonic()
            metrics, batch = self._advance(batch, batches, tf.constant(length))
            steps = {name: value.numpy() for name, value in metrics.items()}
            numbers = swav_metrics.of_interval(steps, time.monotonic() - started, config)
            numbers |= self.gallery.outputs().numbers()
            first_bad = run_metrics.first_bad(steps, step, checked_tensors(self.state))
            for problem in monitor.check(Interval(step, step + length, numbers, first_bad)):
                assert problem.condition not in found  # each problem is reported once
                found[problem.condition] = str(problem)
            step += length
        return found


@pytest.fixture(scope="module")
def shared_lab() -> Lab:
    return Lab()


@pytest.fixture
def lab(shared_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(health, "_LEAST_PATIENCE_STEPS", 20)
    monkeypatch.setattr(health, "_STARVING_SECONDS", 1.0)
    shared_lab.reset()
    return shared_lab


def batches_of(make: Callable[[tf.Tensor], Crops]) -> Iterator[Crops]:
    return iter(tf.data.Dataset.counter().map(make))


@pytest.fixture(scope="module")
def images() -> Callable[[], Iterator[Crops]]:
    """Returns a function that yields crops. Each step has the same few images at another position."""
    sources = [tf.io.decode_jpeg(open_source("builtin").read(index)) for index in range(8)]
    whole = tf.stack([tf.image.resize(image, [40, 40], antialias=True) for image in sources])

    def crops(number: tf.Tensor) -> Crops:
        place = tf.random.stateless_uniform([2], [number, 0], 0, 8, tf.int32)
        large = tf.stack([whole[:, place[0] :, place[1] :][:, :32, :32], whole[:, :32, :32]], axis=1)
        return tf.cast(large, tf.uint8), tf.cast(large[:, :, 8:24, 8:24], tf.uint8)

    return lambda: batches_of(crops)


def test_a_healthy_start_has_no_problem(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    assert lab.problems(images(), [1, 4, 5, 5]) == {}  # the first step has the first rate of the warm-up, 0


def test_the_loss_at_ln_k_is_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    head = lab.state.model.head
    head.norms[0].gamma.assign(tf.zeros_like(head.norms[0].gamma))
    head.norms[0].beta.assign(-tf.ones_like(head.norms[0].beta))  # the ReLU outputs zero, so the head sees nothing
    head.linears[-1].bias.assign(np.linalg.svd(head.prototypes)[2][-1])  # orthogonal to all prototypes
    lab.state.optimizer.iterations.assign(_CONFIG.run.num_steps)  # here the rate is too small for a change
    found = lab.problems(images(), [10] * 4)
    assert (
        "it is 1.000 ln K, and has been between 1.000 and 1.000 since step 10; try `swav.epsilon=0.025`"
        in found["the loss stays at ln K"]
    )


def test_one_prototype_for_all_crops_is_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    last = lab.state.model.head.linears[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    last.bias.assign(lab.state.model.head.prototypes[3])
    lab.state.optimizer.iterations.assign(_CONFIG.run.num_steps)  # here the rate is too small for a change
    found = lab.problems(images(), [10] * 4)
    assert "100 % of the crops have the same nearest prototype" in found["one prototype attracts almost all crops"]


def test_features_of_rank_one_are_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    for variable in lab.state.model.backbone.trainable_variables:
        if "stage4" in variable.path and variable.path.endswith("gamma"):
            variable.assign(tf.zeros_like(variable))
    lab.state.optimizer.iterations.assign(_CONFIG.run.num_steps)  # here the rate is too small for a change
    found = lab.problems(images(), [10] * 4)
    assert "RankMe is 1.00" in found["the features have collapsed to rank one"]


def test_updates_that_explode_are_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    for variable in lab.state.model.backbone.trainable_variables:
        velocity = lab.state.optimizer.velocity(variable)
        velocity.assign(tf.fill(velocity.shape, 10.0))
    lab.state.optimizer.iterations.assign(2)
    found = lab.problems(images(), [5])
    assert "a step changes the backbone by" in found["updates explode"]


def test_updates_that_vanish_are_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    lab.state.optimizer.iterations.assign(_CONFIG.run.num_steps)
    found = lab.problems(images(), [5, 5])
    assert "lost in rounding; raise schedule.peak_learning_rate" in found["updates vanish"]


def test_a_bad_number_and_an_overflow_are_different_problems(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    bias = lab.state.model.head.linears[-1].bias
    bias.assign(tf.fill(bias.shape, np.inf))
    float32 = dataclasses.replace(_CONFIG, run=dataclasses.replace(_CONFIG.run, reduce_precision="float32"))
    found = lab.problems(images(), [4], float32)
    assert "it first appeared in the scores at step 0" in found["a number is not finite"]
    assert lab.problems(images(), [4]) == {}  # the loss scale is still falling
    found = lab.problems(images(), [10, 4])
    assert (
        "steps of the last 10 were skipped; try `run.precision=mixed_bfloat16`"
        in (found["float16 overflows again and again"])
    )


def test_slow_data_are_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    crops = next(images())

    def slow() -> Iterator[Crops]:
        while True:
            time.sleep(1.0)
            yield crops

    signature = tuple(tf.TensorSpec(group.shape, group.dtype) for group in crops)
    found = lab.problems(iter(tf.data.Dataset.from_generator(slow, output_signature=signature)), [1] * 4)
    assert "s waiting for images; make shards" in found["the images arrive too slowly"]


def test_data_that_do_not_change_are_recognised(lab: Lab, images: Callable[[], Iterator[Crops]]) -> None:
    crops = next(images())
    found = lab.problems(batches_of(lambda _: crops), [3, 4])
    assert "the crops in the last 4 steps all have the same mean" in found["the images do not change"]


def problems_of(curve: Iterable[tuple[float, float]], *settings: str) -> list[tuple[int, Problem]]:
    """Returns the problems of a run with 600 steps, each with its step.

    Each value in `curve` is loss / ln K and RankMe of 20 steps.
    """
    config = configs.override(Config(), ["run.num_steps=600", "swav.freeze_prototypes_steps=50", *settings])
    numbers = {f"training/updates/relative_to_weights_{part}": 0.01 for part in swav_metrics.PARTS}
    numbers |= {swav_metrics.LARGEST_SHARE: 0.1, run_metrics.LOSS_SCALE: 1.0, run_metrics.SKIPPED_STEPS: 0.0}
    numbers |= {run_metrics.DISTINCT_BATCHES: 20.0, run_metrics.WAIT_SHARE: 0.0, run_metrics.SECONDS_PER_STEP: 0.1}
    monitor, found = HealthMonitor(config, collapse.CHECKS), []
    for end, (loss, rank) in enumerate(curve, 1):
        shown = numbers | {run_metrics.LOSS: loss, swav_metrics.RELATIVE_LOSS: loss, run_metrics.RANK_ME: rank}
        found += [(20 * end, problem) for problem in monitor.check(Interval(20 * end - 20, 20 * end, shown))]
    return found


_START = [(1.1, 134.0), (1.01, 60.0), (0.98, 45.0)]


def test_the_plateau_is_recognised() -> None:
    """The values come from a seed that learned nothing: 0.89 to 0.95 ln K and a RankMe of 20 to 45."""
    waves = [(0.95, 20.0), (0.89, 45.0)] * 13
    ((step, problem),) = problems_of([*_START, *waves], "schedule.warmup_steps=50")
    assert step == 260  # 200 steps after the warm-up, in whole intervals
    assert str(problem).startswith(
        "the run stays on a plateau: the loss is 0.890 ln K and has not fallen since step 60, "
    )
    assert problem.changes == {"schedule.peak_learning_rate": 0.15, "schedule.warmup_steps": 100}


@pytest.mark.parametrize(
    "later",
    [
        [(0.95 - 0.01 * number, 30.0) for number in range(27)],  # the loss falls slowly
        [(0.92, 60.0)] * 27,  # the features have many dimensions
        [(0.84, 30.0)] * 27,  # the loss is past the plateau
        [(0.95, 30.0), *[(0.85 + 0.1 / (number + 1), 30.0) for number in range(8)], *[(0.8, 30.0)] * 18],
    ],
)
def test_a_run_that_learns_is_not_on_the_plateau(later: list[tuple[float, float]]) -> None:
    assert problems_of([*_START, *later]) == []


def test_a_loss_at_ln_k_is_one_problem() -> None:
    ((_, problem),) = problems_of([*_START, *[(1.0, 30.0)] * 27])
    assert problem.condition == "the loss stays at ln K"
    assert problem.changes == {"swav.epsilon": 0.025}


def test_a_retry_warms_up_for_half_of_the_run_at_most() -> None:
    for warmup, expected in ((250, 300), (350, 350)):
        ((_, problem),) = problems_of([*_START, *[(0.9, 30.0)] * 27], f"schedule.warmup_steps={warmup}")
        assert problem.changes["schedule.warmup_steps"] == expected


@pytest.mark.parametrize("file", _REFERENCE_FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_reference_runs_are_healthy(file: pathlib.Path) -> None:
    derived, first_step = file.parent / "config.txt", 0
    if derived.exists():  # made by recipe auto
        config = configs.override(Config(), derived.read_text().splitlines())
    else:
        config = recipe(file.parent.name)
    monitor = HealthMonitor(config, collapse.CHECKS)
    for line in file.read_text().splitlines():
        numbers = json.loads(line)
        step = numbers.pop("step")
        assert monitor.check(Interval(first_step, step, numbers)) == []
        first_step = step
    assert first_step == config.run.num_steps
