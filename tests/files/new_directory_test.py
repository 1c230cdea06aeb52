"""A new directory: whole, or not at all."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seer_tf.errors import InputError
from seer_tf.files.new_directory import new_directory


def test_it_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "made on the way" / "out"
    with new_directory(output) as directory:
        (directory / "file").write_text("content")
        assert not output.exists() and directory.parent == output.parent
    assert (output / "file").read_text() == "content"
    assert os.listdir(output.parent) == ["out"] and os.listdir(output) == ["file"]
    assert output.stat().st_mode & 0o777 == 0o755


def test_nothing_stays_when_something_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"), new_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("content")
        raise RuntimeError("half-way")
    assert not os.listdir(tmp_path)


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]


def test_one_at_a_time_makes_it(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out") as directory:
        with pytest.raises(InputError, match="another process is writing .*/out: wait until it ends"):
            with new_directory(tmp_path / "out"):
                pytest.fail("two at once")
        (directory / "file").write_text("content")
    assert (tmp_path / "out" / "file").read_text() == "content"


def test_what_a_process_that_died_has_left_is_removed(tmp_path: Path) -> None:
    code = f"""
import os, signal
from seer_tf.files.new_directory import new_directory
with new_directory({str(tmp_path / "out")!r}) as directory:
    (directory / "variables").mkdir()
    (directory / "half").write_text("")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == [".out.unfinished"]
    with new_directory(tmp_path / "out") as directory:
        assert os.listdir(directory) == [".lock"]
    assert os.listdir(tmp_path) == ["out"]
