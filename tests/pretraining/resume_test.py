"""Interruptions do not change the result. A run that was killed, stopped or out of disk equals an uninterrupted run."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from seer_tf.data.sources.builtin import render_image
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory
from tests.places import ROOT

_SETTINGS = (
    "run.deterministic=true",
    "data.global_batch_size=8",
    "head.hidden_dims=4096",  # writing this checkpoint takes some time
    "swav.queue_length=16",
    "swav.queue_start_step=5",
    "run.num_steps=40",
    "run.log_every_steps=4",
    "run.examine_every_steps=16",
    "run.checkpoint_every_steps=3",
    "run.steps_per_call=2",
)
_TIMEOUT_SECONDS = 600


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 24 images without classes. Three epochs are nine steps."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(24):
        (folder / f"{index}.jpg").write_bytes(render_image("train", index)[0])
    return folder


@pytest.fixture(scope="module")
def whole(images: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The last checkpoint of an uninterrupted run."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    finish(images, run_dir)
    return newest_tensors(run_dir)


def start(images: pathlib.Path, run_dir: pathlib.Path, *settings: str) -> subprocess.Popen[str]:
    flags = ["--recipe=debug_tiny", f"--data=folder:{images}", f"--run_dir={run_dir}"]
    flags += [f"--set={setting}" for setting in (*_SETTINGS, *settings)]
    return subprocess.Popen(
        [sys.executable, "experiments/pretrain.py", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(images: pathlib.Path, run_dir: pathlib.Path, *settings: str) -> None:
    with start(images, run_dir, *settings) as process:
        output, errors = process.communicate(timeout=_TIMEOUT_SECONDS)
    assert process.returncode == 0, errors
    assert "steps done" in output


def newest_tensors(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    newest = RunDirectory(run_dir).newest_checkpoint()
    assert newest is not None
    return tensor_store.read(newest, tensor_store.shapes(newest))


def assert_equal(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def moments(process: subprocess.Popen[str]) -> Iterator[None]:
    """Yields often while a process runs. Fails if the process ends or hangs."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        yield
        time.sleep(0.0005)
    process.kill()
    pytest.fail(f"the run ended by itself, or hung: {process.communicate()}")


def wait_for_a_checkpoint(process: subprocess.Popen[str], run_dir: pathlib.Path) -> None:
    """Waits until the process has written a checkpoint."""
    before = RunDirectory(run_dir).newest_checkpoint()
    for _ in moments(process):
        if RunDirectory(run_dir).newest_checkpoint() != before:
            return


def kill_while_it_writes(process: subprocess.Popen[str], run_dir: pathlib.Path) -> None:
    """Kills the process when half of a checkpoint is on disk."""
    for _ in moments(process):
        if any(run_dir.glob("checkpoints/*.unfinished")):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.05)
            if any(run_dir.glob("checkpoints/*.unfinished")):
                process.kill()
                return
            process.send_signal(signal.SIGCONT)


def end(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Sends a signal. After a signal that can be caught, the run must be saved and must say so."""
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == os.EX_TEMPFAIL, errors
        assert f"{number.name}: the run finishes the current steps, saves a checkpoint and ends" in errors
        assert f"{number.name}: saved at step" in output


@pytest.mark.parametrize(
    "numbers", [(), pytest.param((signal.SIGKILL, signal.SIGTERM), marks=pytest.mark.slow)], ids=["one", "three"]
)
def test_kills_do_not_change_the_result(
    numbers: tuple[signal.Signals, ...], images: pathlib.Path, whole: dict[str, np.ndarray], tmp_path: pathlib.Path
) -> None:
    """The last kill comes in the middle of a checkpoint. The slow case has two more kills before."""
    run_dir = tmp_path / "run"
    for number in numbers:
        with start(images, run_dir) as process:
            wait_for_a_checkpoint(process, run_dir)
            end(process, number)
    with start(images, run_dir) as process:
        wait_for_a_checkpoint(process, run_dir)
        kill_while_it_writes(process, run_dir)
    assert any(run_dir.glob("checkpoints/*.unfinished"))
    assert 0 < RunDirectory(run_dir).checkpoint_steps()[-1] < 40
    finish(images, run_dir)
    assert not any(run_dir.glob("checkpoints/*.unfinished"))
    assert_equal(newest_tensors(run_dir), whole)


@pytest.mark.slow
def test_twenty_interruptions_do_not_change_the_result(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The interruptions come at random moments, from the start of the process on.

    The run has float16 and a loss scale.
    """
    settings = ("run.num_steps=900", "run.precision=mixed_float16")
    finish(images, tmp_path / "whole", *settings)
    generator, run_dir = random.Random(0), tmp_path / "run"
    for _ in range(20):
        how = generator.choice(("early", "while it writes", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"))
        with start(images, run_dir, *settings) as process:
            if how == "early":
                time.sleep(generator.uniform(0, 15))
                process.kill()
            elif how == "while it writes":
                kill_while_it_writes(process, run_dir)
            else:
                wait_for_a_checkpoint(process, run_dir)
                time.sleep(generator.uniform(0, 1))
                end(process, signal.Signals[how])
    assert RunDirectory(run_dir).checkpoint_steps()[-1] < 900
    finish(images, run_dir, *settings)
    assert_equal(newest_tensors(run_dir), newest_tensors(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
@pytest.mark.parametrize("size", ["1k", "300k", "15M", "25M"])
def test_a_full_disk_does_not_change_the_result(
    images: pathlib.Path, whole: dict[str, np.ndarray], tmp_path: pathlib.Path, size: str
) -> None:
    """The disk is full before the first event, or in the middle of the first, second or third checkpoint of 11 MB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", tmp_path], check=True)
    try:
        with start(images, tmp_path / "run") as process:
            _, errors = process.communicate(timeout=_TIMEOUT_SECONDS)
        assert process.returncode == 2, errors
        assert "No space left on device" in errors.splitlines()[-1]
        assert "Traceback" not in errors
        subprocess.run(["mount", "-o", "remount,size=200M", tmp_path], check=True)
        finish(images, tmp_path / "run")
        assert_equal(newest_tensors(tmp_path / "run"), whole)
    finally:
        subprocess.run(["umount", tmp_path], check=True)
