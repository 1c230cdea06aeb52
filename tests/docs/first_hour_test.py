"""Every command on the page about the first hour runs, in the order of the page, on a small set."""

import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from seer_tf.data.sources import builtin
from tests.places import ROOT

_COMMANDS = [
    line.strip().removeprefix(".venv/bin/")
    for line in (ROOT / "docs" / "guides" / "first_hour.md").read_text("utf-8").splitlines()
    if line.startswith("    .venv/bin/")
]
# These flags keep the run short. The test of the recipe covers the speed trial and the length of the run.
_SHORTER = ("--minutes=0.3", "--set=run.num_steps=30", "--set=head.hidden_dims=32")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images without labels, and two folders with class folders."""
    place = tmp_path_factory.mktemp("first hour")
    _write("train", range(200), place / "IMAGES", classes=False)
    _write("train", range(200, 320), place / "TRAIN", classes=True)
    _write("test", range(80), place / "TEST", classes=True)
    return place


@pytest.mark.slow
def test_the_page_from_top_to_bottom(place):
    assert len(_COMMANDS) >= 12
    for command in _COMMANDS:
        program, *arguments = shlex.split(command)
        if "LONGER" in arguments:
            _run(place, next(other for other in _COMMANDS if "pretrain.py" in other).replace("=RUN", "=LONGER"))
        if program == "tensorboard":
            assert b"TensorBoard" in _page_of_tensorboard(place, arguments)
        else:
            _run(place, command)
    for name in (
        "SHARDS/audit.html",
        "evaluations.html",
        "CLUSTERS/clusters.html",
        "neighbours.html",
        "MAP/map.html",
        "MODEL/README.md",
    ):
        assert (place / name).stat().st_size > 0
    assert "RUN" in (place / "comparison.html").read_text("utf-8")


@pytest.mark.slow
def test_the_recipe_gives_its_reasons_and_keeps_its_settings_when_a_run_continues(place):
    command = (
        f"experiments/pretrain.py --recipe=auto --minutes=0.1 --data=folder:{shlex.quote(str(place / 'IMAGES'))} "
        "--run_dir=SHORT --set=head.hidden_dims=32"
    )
    first = _run(place, f"python {command}", shorten=False)
    length = r"run\.num_steps=\d+ +0\.1 minutes, minus [\d.]+ for finding these settings, at \d+ images/s"
    warning = r"warning: --minutes=0\.1 allows \d+ steps, and a run needs about 2,000 to learn; give --minutes=\d+"
    assert re.search(length, first.stdout) and re.search(warning, first.stdout)
    assert re.search("head.hidden_dims=32 +as you set it", first.stdout)
    again = _run(place, f"python {command}", shorten=False)
    assert "steps done" in again.stdout and "trying" not in again.stdout


def _run(place: Path, command: str, *, shorten: bool = True) -> subprocess.CompletedProcess[str]:
    _, program, *arguments = shlex.split(command)
    if "--recipe=auto" in arguments and shorten:
        arguments += _SHORTER
    result = subprocess.run(
        [sys.executable, str(ROOT / program), *arguments], cwd=place, capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, f"{command}\n{result.stderr[-2000:]}"
    return result


def _page_of_tensorboard(place: Path, arguments: list[str]) -> bytes:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments, f"--port={port}", "--load_fast=false"],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in _until_seconds(120):
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
            except OSError:
                time.sleep(0.5)
    finally:
        server.kill()
        server.wait()
    raise AssertionError("TensorBoard did not answer")


def _until_seconds(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def _write(split: str, numbers: range, directory: Path, *, classes: bool) -> None:
    for number in numbers:
        encoded, label = builtin.render_image(split, number)
        folder = directory / (builtin.class_names[label] if classes else "")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encoded)
