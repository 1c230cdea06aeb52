"""Two real processes of experiments/pretrain.py: both report a difference, and neither outlives the other."""

import os
import pathlib
import re
import signal
import subprocess
import time

import numpy as np
import pytest

from seer_tf.cli.command import TRY_AGAIN
from seer_tf.data.sources.builtin import render_image
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory
from tests.two_processes import two_commands

_NUM_STEPS = 40
_SETTINGS = (
    "data.global_batch_size=4",
    f"run.num_steps={_NUM_STEPS}",
    "run.log_every_steps=2",
    "run.checkpoint_every_steps=2",
    "run.keep_checkpoints=100",
    "run.steps_per_call=1",
)
_SECONDS_UNTIL_STOPPED = 30


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 12 images."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(12):
        (folder / f"{index}.jpg").write_bytes(render_image("train", index)[0])
    return folder


def command(images: pathlib.Path, run_dir: pathlib.Path) -> list[str]:
    flags = ["--recipe=debug_tiny", f"--data=folder:{images}", f"--run_dir={run_dir}"]
    return ["experiments/pretrain.py", *flags, *(f"--set={setting}" for setting in _SETTINGS)]


def wait_for_a_checkpoint(run_dir: pathlib.Path, workers: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 240
    while not RunDirectory(run_dir).checkpoint_steps():
        assert time.monotonic() < deadline
        assert [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.02)


def errors(folder: pathlib.Path, index: int) -> list[str]:
    lines = (folder / f"{index}.txt").read_text().splitlines()
    assert not any(line.startswith("Traceback") for line in lines), lines
    return [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]


def run_to_the_end(images: pathlib.Path, run_dir: pathlib.Path, folder: pathlib.Path) -> dict[str, np.ndarray]:
    with two_commands(command(images, run_dir), folder) as workers:
        assert [worker.wait(240) for worker in workers] == [0, 0], [errors(folder, index) for index in range(2)]
    checkpoint = RunDirectory(run_dir).checkpoint(_NUM_STEPS)
    return tensor_store.read(checkpoint, tensor_store.shapes(checkpoint))


def lose(victim: int, number: signal.Signals, workers: list[subprocess.Popen[str]]) -> float:
    """Sends a signal to a worker. Returns the seconds until the other worker has stopped by itself."""
    os.killpg(workers[victim].pid, number)
    started = time.monotonic()
    assert workers[1 - victim].wait(120) == TRY_AGAIN
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.two_process
def test_a_killed_chief_stops_the_other(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The slow test below has all cases, but only this case is noticed at once."""
    with two_commands(command(images, tmp_path / "run"), tmp_path) as workers:
        wait_for_a_checkpoint(tmp_path / "run", workers)
        assert lose(0, signal.SIGKILL, workers) < _SECONDS_UNTIL_STOPPED
    (error,) = errors(tmp_path, 1)
    assert re.match(r"worker 0 \(localhost:\d+\) no longer answers, so worker 1 .* stops too; start all workers", error)


@pytest.mark.slow
@pytest.mark.two_process
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed_while_the_graph_is_traced_stops_the_other(
    images: pathlib.Path, tmp_path: pathlib.Path, victim: int
) -> None:
    """The chief opens its log before the graph is traced."""
    with two_commands(command(images, tmp_path / "run"), tmp_path) as workers:
        deadline = time.monotonic() + 240
        while not (tmp_path / "run" / "tensorboard").exists():
            assert time.monotonic() < deadline and [worker.poll() for worker in workers] == [None, None]
            time.sleep(0.02)
        assert lose(victim, signal.SIGKILL, workers) < _SECONDS_UNTIL_STOPPED
    (error,) = errors(tmp_path, 1 - victim)
    assert error.startswith(f"worker {victim} (localhost:")
    assert not RunDirectory(tmp_path / "run").checkpoint_steps()


@pytest.fixture(scope="module")
def uninterrupted(images: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The last checkpoint of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return run_to_the_end(images, folder / "run", folder)


@pytest.mark.slow
@pytest.mark.two_process
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_worker_stops_the_other_and_both_continue(
    images: pathlib.Path,
    tmp_path: pathlib.Path,
    uninterrupted: dict[str, np.ndarray],
    victim: int,
    number: signal.Signals,
) -> None:
    run_dir = tmp_path / "run"
    with two_commands(command(images, run_dir), tmp_path) as workers:
        wait_for_a_checkpoint(run_dir, workers)
        assert lose(victim, number, workers) < _SECONDS_UNTIL_STOPPED
        if number == signal.SIGSTOP:  # after SIGCONT, the worker finds that the others are gone
            os.killpg(workers[victim].pid, signal.SIGCONT)
            assert workers[victim].wait(120) == TRY_AGAIN
            assert len(errors(tmp_path, victim)) == 1
    (error,) = errors(tmp_path, 1 - victim)
    assert error.startswith(f"worker {victim} (localhost:")
    assert _NUM_STEPS not in RunDirectory(run_dir).checkpoint_steps()
    assert_equal(run_to_the_end(images, run_dir, tmp_path), uninterrupted)


@pytest.mark.slow
@pytest.mark.two_process
def test_sigterm_to_one_stops_both_at_the_same_step(
    images: pathlib.Path, tmp_path: pathlib.Path, uninterrupted: dict[str, np.ndarray]
) -> None:
    run_dir = tmp_path / "run"
    with two_commands(command(images, run_dir), tmp_path) as workers:
        wait_for_a_checkpoint(run_dir, workers)
        workers[1].terminate()
        assert [worker.wait(120) for worker in workers] == [TRY_AGAIN] * 2
    said = [(tmp_path / f"{index}.txt").read_text().splitlines()[-1] for index in range(2)]
    assert said[0].startswith("a signal to another worker: saved at step ")
    assert said[1].startswith("SIGTERM: saved at step ")
    assert said[0].partition("saved")[2] == said[1].partition("saved")[2]
    assert_equal(run_to_the_end(images, run_dir, tmp_path), uninterrupted)


def assert_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


@pytest.mark.two_process
@pytest.mark.parametrize(
    ("of_both", "of_second", "sentence"),
    [
        ([], ["--seed=1"], r"worker 1 .* differs: run.seed is 1 there, but 0 on worker 0"),
        pytest.param(
            ["--set=data.global_batch_size=7"], [], "7 cannot be divided by 2 replicas", marks=pytest.mark.slow
        ),
        pytest.param([], ["--num_devices=2"], "without GPUs a worker has one device", marks=pytest.mark.slow),
        pytest.param([], ["--data=folder:/nowhere"], "/nowhere", marks=pytest.mark.slow),
    ],
)
def test_bad_input_gets_one_sentence_on_every_worker(
    images: pathlib.Path, tmp_path: pathlib.Path, of_both: list[str], of_second: list[str], sentence: str
) -> None:
    with two_commands([*command(images, tmp_path / "run"), *of_both], tmp_path, of_second=of_second) as workers:
        assert [worker.wait(60) for worker in workers] == [2, 2]
    for index in range(2):
        (error,) = errors(tmp_path, index)
        assert re.search(sentence, error)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.two_process
def test_a_failure_on_one_worker_stops_both(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run = [*command(images, tmp_path / "run"), f"--log_json={tmp_path}"]
    with two_commands(run, tmp_path) as workers:
        assert [worker.wait(120) for worker in workers] == [2, 2]  # not TRY_AGAIN, because another try would fail too
    said = [(tmp_path / f"{index}.txt").read_text().splitlines()[-1] for index in range(2)]
    assert "cannot be written (Is a directory)" in said[0]
    assert "another worker has stopped" in said[1]
