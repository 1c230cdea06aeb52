"""A new directory is complete or does not exist."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seer_tf.errors import InputError
from seer_tf.files import new_directory as new_directory_module
from seer_tf.files.new_directory import new_directory


def test_a_directory_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "made on the way" / "out"
    with new_directory(output) as directory:
        (directory / "file").write_text("content")
        assert not output.exists() and directory.parent == output.parent
    assert (output / "file").read_text() == "content"
    assert os.listdir(output.parent) == ["out"] and os.listdir(output) == ["file"]
    assert output.stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"), new_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("content")
        raise RuntimeError("half-way")
    assert not os.listdir(tmp_path)


def test_an_existing_directory_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(("name", "sentence"), [("file", "file exists already"), ("file/out", "file is a file")])
def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "file").write_text("content")
    with pytest.raises(InputError, match=sentence), new_directory(tmp_path / name):
        pass
    assert (tmp_path / "file").read_text() == "content"


def test_only_one_process_makes_the_directory(tmp_path: Path) -> None:
    with new_directory(tmp_path / "out") as directory:
        with pytest.raises(InputError, match="another process is writing .*/out: wait until it ends"):
            with new_directory(tmp_path / "out"):
                pytest.fail("two at once")
        (directory / "file").write_text("content")
    assert (tmp_path / "out" / "file").read_text() == "content"


def test_a_directory_that_a_dead_process_left_is_removed(tmp_path: Path) -> None:
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
        assert os.listdir(directory) == [".unfinished.lock"]
    assert os.listdir(tmp_path) == ["out"]


def test_the_lock_that_a_dead_process_left_in_a_complete_directory_is_removed(tmp_path: Path) -> None:
    """The process was killed between the directory's rename and its own end. Locks of other commands stay."""
    code = f"""
import os, pathlib, signal
from seer_tf.files.new_directory import new_directory
with new_directory({str(tmp_path / "out")!r}) as directory:
    (directory / "file").write_text("content")
    (directory / ".lock").write_text("")
    pathlib.Path.unlink = lambda *arguments, **options: os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path / "out")) == [".lock", ".unfinished.lock", "file"]
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out"):
        pass
    assert sorted(os.listdir(tmp_path / "out")) == [".lock", "file"]


def test_a_directory_that_another_program_made_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    """Another program without the lock makes the directory, for example a copy."""
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("content")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "other").write_text("")
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["other"]


def test_a_directory_that_appears_during_the_wait_for_the_lock_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = new_directory_module.locked

    @contextlib.contextmanager
    def late(path: Path) -> Iterator[int]:
        (tmp_path / "out").mkdir()
        with locked(path) as descriptor:
            yield descriptor

    monkeypatch.setattr(new_directory_module, "locked", late)
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out"):
        pytest.fail("made twice")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("made_again", [False, True])
def test_the_lock_in_a_removed_directory_does_not_count(
    made_again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder of the lock has just ended, and another process may have started."""
    locked, calls = new_directory_module.locked, []

    @contextlib.contextmanager
    def gone(path: Path) -> Iterator[int]:
        calls.append(path)
        with locked(path) as descriptor:
            if len(calls) == 1:
                path.rename(tmp_path / "kept open")  # so that the new file does not get the inode of the old file
                path.parent.rmdir()
                if made_again:
                    path.parent.mkdir()
                    path.touch()
            yield descriptor

    monkeypatch.setattr(new_directory_module, "locked", gone)
    with new_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("content")
    assert len(calls) == 2 and os.listdir(tmp_path / "out") == ["file"]


def test_a_link_that_a_dead_process_left_is_removed_but_not_its_target(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / ".out.unfinished").mkdir()
    (tmp_path / ".out.unfinished" / "link").symlink_to(tmp_path / "images")
    with new_directory(tmp_path / "out"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["images", "out"] and not os.listdir(tmp_path / "out")
