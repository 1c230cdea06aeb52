"""Interrupted commands: the messages, the saved files, the remaining files, and the exit status."""

import contextlib
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable

import pytest

from seer_tf.models import RegNetY
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders

_SECONDS = 300
_LONG = ("--set=run.num_steps=5000", "--set=run.checkpoint_every_steps=5000", "--set=run.steps_per_call=1")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two hundred images in class folders."""
    folder = tmp_path_factory.mktemp("images")
    write_class_folders(folder, "train", range(200))
    return folder


def _start(name: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seer_tf.cli", name, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _pretrain(images: pathlib.Path, run_dir: pathlib.Path) -> list[str]:
    return ["--recipe=debug_tiny", f"--data=folder:{images}", f"--run_dir={run_dir}", *_LONG]


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_import_has_no_traceback(number: signal.Signals) -> None:
    with _start("knn") as process:
        _wait_until(lambda: "libtensorflow" in pathlib.Path(f"/proc/{process.pid}/maps").read_text())
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 128 + number, errors
    assert f"{number.name}: the command ends; a second signal ends it at once\n" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_no_message_says_saved_before_the_first_step(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    with _start("pretrain", *_pretrain(images, run_dir)) as process:
        _wait_until((run_dir / "config.json").exists)
        process.terminate()
        output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == os.EX_TEMPFAIL, errors
    assert output.endswith(
        "SIGTERM: stopped before the first step, so nothing is saved; the same command starts the run again\n"
    )
    assert not RunDirectory(run_dir).checkpoint_steps()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_run_without_saving(
    images: pathlib.Path, tmp_path: pathlib.Path, number: signal.Signals
) -> None:
    run_dir = tmp_path / "run"
    with _start("pretrain", *_pretrain(images, run_dir)) as process:
        _wait_until((run_dir / "config.json").exists)
        for _ in range(2):
            process.send_signal(number)
            time.sleep(0.1)
        assert process.wait(5) == 128 + number
        _, errors = process.communicate()
    assert f"{number.name}: the run finishes the current steps, saves" in errors
    assert errors.endswith(f"{number.name}: ended at once\n")
    assert not RunDirectory(run_dir).checkpoint_steps()


@pytest.mark.slow
def test_a_closed_terminal_saves_the_run(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run_dir = tmp_path / "run"
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-m", "seer_tf.cli", "pretrain", *_pretrain(images, run_dir)])
    termios.tcsetwinsize(terminal, (24, 100))  # a bar is shown only if the terminal has a width
    shown: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the terminal is closed
            shown.extend(iter(lambda: os.read(terminal, 1000), b""))

    threading.Thread(target=read, daemon=True).start()
    try:
        _wait_until(lambda: re.search(rb"[1-9]\d*/5000", b"".join(shown)))
        os.close(terminal)
        _wait_until(lambda: os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    finally:
        os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status == os.EX_TEMPFAIL
    assert RunDirectory(run_dir).checkpoint_steps()


@pytest.mark.slow
def test_a_demo_that_gets_sigterm_saves_its_run_and_continues_later(
    images: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    arguments = [f"--data={images}", f"--output={tmp_path / 'out'}", "--recipe=debug_tiny"]
    with _start("demo", *arguments) as process:
        _wait_until(lambda: list(tmp_path.glob("out/run-*/tensorboard")))
        process.terminate()
        output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == os.EX_TEMPFAIL, errors
    assert "SIGTERM: the run finishes the current steps" in errors and output.splitlines()[-1].startswith("SIGTERM: s")
    with _start("demo", *arguments) as process:
        output, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors
    assert len(list(tmp_path.glob("out/run-*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("extract_features", ["--pixels=histogram", "--shard_mb=0.1"]),
        ("prepare_shards", ["--shard_mb=0.05", "--jobs=2"]),
    ],
)
def test_an_interrupted_command_prints_one_line_and_continues_later(
    tmp_path: pathlib.Path, command: str, flags: list[str], number: signal.Signals
) -> None:
    """A terminal sends Ctrl-C to all processes of a command, and so does the test."""
    arguments = [*flags, "--data=builtin:test", f"--output={tmp_path / 'output'}"]
    with _start(command, *arguments) as process:
        _wait_until(lambda: list(tmp_path.glob("output/*-00001-of-*")))
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 128 + number, errors
    assert f"{number.name}: the command ends; a second signal ends it at once\n" in errors
    assert "Traceback" not in errors and "Fatal" not in errors and "error: " not in errors
    with _start(command, *arguments) as process:
        _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 0, errors
    assert not list(tmp_path.glob("output/*.part"))


@pytest.mark.slow
def test_an_interrupted_export_leaves_nothing(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    RegNetY("90MF", stem_stride=1).save(tmp_path / "network.keras")
    arguments = [f"--model={tmp_path / 'network.keras'}", f"--images={images}", f"--output={tmp_path / 'model'}"]
    with _start("export", *arguments) as process:
        _wait_until(lambda: list(tmp_path.glob(".model*/variables")))
        process.terminate()
        _, errors = process.communicate(timeout=_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert [path.name for path in tmp_path.iterdir()] == ["network.keras"]


@pytest.mark.slow
def test_a_second_export_to_the_same_directory_is_refused_at_the_start(
    images: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    RegNetY("90MF", stem_stride=1).save(tmp_path / "network.keras")
    arguments = [f"--model={tmp_path / 'network.keras'}", f"--images={images}", f"--output={tmp_path / 'model'}"]
    with _start("export", *arguments) as first:
        _wait_until((tmp_path / ".model.unfinished" / ".lock").exists)
        with _start("export", *arguments) as second:
            _, errors = second.communicate(timeout=_SECONDS)
        assert second.returncode == 2
        assert "another process is writing" in errors or "exists already" in errors
        assert "exporting" not in errors
        first.communicate(timeout=_SECONDS)
    assert first.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "network.keras"]
    assert not (tmp_path / "model" / ".lock").exists()
