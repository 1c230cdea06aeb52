"""Retries of a toy task that is in trouble until its learning rate is low enough. The engine knows no method."""

import dataclasses
import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.files import jsonl
from seer_tf.training import metrics, tensor_store
from seer_tf.training.health import HealthMonitor, Interval, Problem
from seer_tf.training.history import History
from seer_tf.training.logger import Logger, LogOptions
from seer_tf.training.loop import RunResult, Task, run
from seer_tf.training.retries import RETRIES, Retry, read_retries, summary, with_retries
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState
from tests import mutations
from tests.places import ROOT
from tests.replicas import two_replicas
from tests.two_processes import run_two_processes

_SETTINGS = [
    "run.num_steps=12",
    "run.log_every_steps=2",
    "run.checkpoint_every_steps=3",
    "run.steps_per_call=1",
    "run.on_trouble=recover",
    "schedule.peak_learning_rate=0.7",
]


_KILLED_PROCESS = """
import os
import signal
import sys
from seer_tf.training.run_directory import RunDirectory
from tests.training import retries_test

retries_test.Killed.__init__ = lambda self: os.kill(os.getpid(), signal.SIGKILL)
retries_test.go(RunDirectory(sys.argv[1]), killed_at={(int(sys.argv[2]), int(sys.argv[3]))})
"""
_WORKER = """
import json
import sys
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
from seer_tf.training.run_directory import RunDirectory
from tests.training import retries_test

directory = RunDirectory(sys.argv[1])
result = retries_test.go(directory, strategy=strategy)
print(json.dumps([result.step, len(retries_test.read_retries(directory))]))
"""


class Killed(BaseException):
    """Raised to end the process."""


class ToyState(RunState):
    config: Config

    def __init__(self, config: Config) -> None:
        self.config = config
        model = keras.Sequential(
            [keras.Input([1]), keras.layers.Dense(1, name="dense", kernel_initializer="ones")], name="toy"
        )
        model.licence = ""
        super().__init__(model)


class ToyLogger(Logger):
    def __init__(self, state: ToyState, directory: RunDirectory, check: Any, killed_at: set[tuple[int, int]]) -> None:
        super().__init__(state, directory, HealthMonitor(state.config, [check]), "toy", LogOptions())
        self._killed_at = killed_at

    def add(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        moment = (len(self._retries), step)
        if moment in self._killed_at:
            self._killed_at.remove(moment)
            raise Killed
        super().add(step, metrics)

    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        return metrics.interval_metrics(steps, seconds, 1)

    def _note(self, numbers: Mapping[str, float]) -> str:
        return ""


def step(state: ToyState, batch: tf.Tensor) -> dict[str, tf.Tensor]:
    kernel = state.model.layers[0].kernel
    loss = collectives.all_reduce(tf.reduce_mean(batch)) * tf.square(kernel[0, 0])
    kernel.assign(kernel * (1 - 0.1 * state.config.schedule.peak_learning_rate))
    return {
        "loss": loss,
        "first_bad": tf.constant(-1),
        "skipped_in_a_row": tf.constant(0),
        "loss_scale": tf.constant(1.0),
        "learning_rate": tf.constant(state.config.schedule.peak_learning_rate),
        metrics.MEAN_PIXEL: tf.reduce_mean(batch),
    }


def trouble(least: float) -> Callable[[Config, Sequence[Interval]], Problem | None]:
    """Returns a check that reports a problem after four intervals if the rate is `least` or more.

    The evidence has the losses of all intervals.
    """

    def check(config: Config, seen: Sequence[Interval]) -> Problem | None:
        rate = config.schedule.peak_learning_rate
        if len(seen) < 4 or rate < least:
            return None
        losses = [interval.numbers[metrics.LOSS] for interval in seen]
        return Problem("it is too fast", f"losses {losses}", "go slower", {"schedule.peak_learning_rate": rate / 2})

    return check


def go(
    directory: RunDirectory,
    *settings: str,
    least: float = 0.3,
    killed_at: set[tuple[int, int]] | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> RunResult:
    config = configs.override(Config(), [*_SETTINGS, *settings])

    def batches(first_step: int, strategy: tf.distribute.Strategy) -> Any:
        numbers = tf.data.Dataset.range(first_step, 10**6).map(lambda number: tf.cast(number % 5 + 1, tf.float32)[None])
        return strategy.distribute_datasets_from_function(lambda _: numbers.repeat())

    def task_of(config: Config) -> Task[ToyState]:
        return Task(
            config,
            state=lambda: ToyState(config),
            initialize=lambda _: None,
            batches=batches,
            step=step,
            log=lambda state, _: ToyLogger(state, directory, trouble(least), killed_at or set()),
            remedy="",
            images={},
        )

    return run(task_of, config, directory, strategy or tf.distribute.get_strategy())


def end_of(directory: RunDirectory) -> tuple[dict[str, Any], tuple[Retry, ...]]:
    newest = directory.newest_checkpoint()
    assert newest is not None
    tensors = tensor_store.read(newest, tensor_store.shapes(newest))
    return {name: tensor.tolist() for name, tensor in tensors.items()}, read_retries(directory)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The directory of an uninterrupted run that needed two retries."""
    directory = RunDirectory(tmp_path_factory.mktemp("whole") / "run")
    assert go(directory) == RunResult(12, stopped_by=None)
    return directory


def test_a_run_in_trouble_starts_again_with_the_changes_of_the_check(whole: RunDirectory) -> None:
    tensors, retries = end_of(whole)
    assert [(retry.step, retry.changes) for retry in retries] == [
        (8, {"schedule.peak_learning_rate": "0.35"}),
        (8, {"schedule.peak_learning_rate": "0.175"}),
    ]
    kernel = next(value for name, value in tensors.items() if name.endswith("kernel"))
    # All steps have the last rate and start at the initial weights.
    assert kernel[0][0] == pytest.approx((1 - 0.0175) ** 12)
    assert tensors["step"] == 12
    assert whole.checkpoint_steps() == [9, 12]


def test_retries_are_reported_in_tensorboard(whole: RunDirectory) -> None:
    events = EventAccumulator(str(whole.tensorboard)).Reload()
    counts = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(RETRIES)]
    assert counts == [2.0] * 6
    text = tf.make_ndarray(events.Tensors("retries")[0].tensor_proto).item().decode()
    assert text == summary(read_retries(whole))
    assert text.startswith("The run needed 2 retries: at step 8 it is too fast (losses [")
    for number in (1, 2):
        abandoned = EventAccumulator(str(whole.attempt(number) / "tensorboard")).Reload().Tensors(RETRIES)
        assert [event.step for event in abandoned] == [2, 4, 6, 8]
    assert summary(()) == ""


def test_the_given_config_stays_in_the_directory(whole: RunDirectory) -> None:
    config = whole.read_config()
    assert config.schedule.peak_learning_rate == 0.7
    assert with_retries(config, read_retries(whole)).schedule.peak_learning_rate == 0.175


def test_kills_do_not_change_the_result(whole: RunDirectory, tmp_path: pathlib.Path) -> None:
    """The kills come in each attempt, before and after a checkpoint, within an interval, and just before a retry."""
    directory = RunDirectory(tmp_path / "run")
    moments = {(0, 4), (0, 8), (1, 2), (1, 7), (1, 8), (2, 5), (2, 11)}
    while moments:
        with pytest.raises(Killed):
            go(directory, killed_at=moments)
    assert go(directory).step == 12
    assert end_of(directory) == end_of(whole)


@pytest.mark.slow
def test_kills_of_the_process_do_not_change_the_result(whole: RunDirectory, tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    for retry, step in ((0, 7), (1, 5), (2, 8)):
        command = [sys.executable, "-c", _KILLED_PROCESS, str(directory.path), str(retry), str(step)]
        assert subprocess.run(command, cwd=ROOT, timeout=300).returncode == -signal.SIGKILL
        assert len(read_retries(directory)) == retry
    assert go(directory).step == 12
    assert end_of(directory) == end_of(whole)


@pytest.mark.slow
@pytest.mark.two_process
def test_two_workers_start_again_together(whole: RunDirectory, tmp_path: pathlib.Path) -> None:
    outputs = run_two_processes(_WORKER, [str(tmp_path / "run")], timeout_seconds=300)
    assert [json.loads(output.splitlines()[-1]) for output in outputs] == [[12, 2], [12, 2]]
    assert [retry.step for retry in read_retries(RunDirectory(tmp_path / "run"))] == [8, 8]


def test_a_kill_during_the_change_of_attempts_does_not_change_the_result(
    whole: RunDirectory, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(tmp_path / "run")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("seer_tf.training.retries.write_atomically", killed)
        with pytest.raises(Killed):
            go(directory)
    assert directory.checkpoint_steps() == []
    assert go(directory).step == 12
    assert end_of(directory) == end_of(whole)


def test_after_two_retries_the_run_continues_with_a_warning(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: said.append(text % values))
    directory = RunDirectory(tmp_path / "run")
    assert go(directory, least=0.0).step == 12
    assert len(read_retries(directory)) == 2
    assert [text.partition(":")[0] for text in said] == [
        "step 8",
        "retry 1 of 2",
        "step 8",
        "retry 2 of 2",
        "step 8",
        "step 8",
    ]
    assert said[-1] == "step 8: the run has had 2 retries, which is all; it continues"


def test_without_recover_a_run_does_not_start_again(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    assert go(directory, "run.on_trouble=warn").step == 12
    assert read_retries(directory) == ()
    assert not directory.history.exists()


@pytest.mark.slow
@pytest.mark.multi_replica
def test_replicas_start_again_together(whole: RunDirectory, tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    assert go(directory, strategy=two_replicas()).step == 12
    assert [retry.step for retry in read_retries(directory)] == [8, 8]


def test_a_damaged_retries_file_gets_one_sentence(whole: RunDirectory, tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.retries.write_text(whole.retries.read_text().replace("0.35", "0.36"))
    with pytest.raises(InputError, match="retries.json cannot be read .its checksum differs.; start again"):
        read_retries(directory)


def test_a_history_ends_at_the_step_of_the_checkpoint(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "history.jsonl"
    history = History(file, 0)
    intervals = [Interval(0, 2, {"loss": 1 / 3}), Interval(2, 4, {"loss": float("inf")}, (3, "the loss"))]
    for interval in intervals:
        history.add(interval)
    jsonl.append_line(file, '{"step": 5, "steps": {')  # the last line of a killed process
    assert History(file, 4).intervals == intervals
    assert History(file, 3).intervals == intervals[:1]
    assert History(file, 4).intervals == intervals[:1]  # later lines were removed
    assert [dataclasses.asdict(each) for each in History(file, 0).intervals] == []


def test_damage_to_a_history_costs_one_interval_and_is_named(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "history.jsonl"
    intervals = [Interval(0, 2, {"loss": 1.5}), Interval(2, 4, {"loss": 1.25})]
    for interval in intervals:
        History(file, 2).add(interval)
    good = file.read_bytes()
    file.write_bytes(good.replace(b"1.5", b"1.4"))
    assert History(file, 4).intervals == intervals[1:]
    assert "history.jsonl: line 1 is damaged, so no check sees its steps" in caplog.text
    for damaged in [
        *mutations.flipped(good, 100),
        *mutations.retyped(good.splitlines()[0], 100, without=("checksum",)),
    ]:
        file.write_bytes(damaged)
        assert all(
            type(value) in (int, float) for each in History(file, 4).intervals for value in each.numbers.values()
        )
