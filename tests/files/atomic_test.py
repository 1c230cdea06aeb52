"""A file or directory is replaced completely or stays as it was."""

import concurrent.futures
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from seer_tf.errors import InputError
from seer_tf.files.atomic import (
    atomic_directory,
    atomic_file,
    check_directory,
    check_file,
    remove_directory,
    write_atomically,
)


def test_text_and_bytes_replace_what_was_there(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_atomically(file, "three ×\n")
    assert file.read_text("utf-8") == "three ×\n"
    write_atomically(file, "caf\udce9")  # the name of a file in Latin-1
    assert file.read_text("utf-8") == "caf\\udce9"
    write_atomically(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_old_file_unchanged(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_atomically(file, "old")
    with pytest.raises(TypeError):
        write_atomically(file, 3)  # type: ignore[arg-type]
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_the_file_has_the_usual_permissions(tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write_atomically(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode


def test_places_are_checked_before_the_work(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, tmp_path / "new", pathlib.Path("new")):
        check_file(path)
    for path in (tmp_path, tmp_path / "new" / "deeper", pathlib.Path("new")):
        check_directory(path)
    with pytest.raises(InputError, match=r"caf\\udce9/run cannot be written, since TensorFlow takes only names in UTF"):
        check_directory(tmp_path / "caf\udce9" / "run")
    with pytest.raises(InputError, match="is a directory; name a file"):
        check_file(tmp_path)
    for path in (tmp_path / "nowhere" / "file", file / "x"):
        with pytest.raises(InputError, match="is no directory; make it"):
            check_file(path)
    for path in (file, file / "x", file / "x" / "y"):
        with pytest.raises(InputError, match="file is a file; name another place"):
            check_directory(path)


def test_a_path_leaves_room_for_temporary_names_and_for_files(tmp_path: pathlib.Path) -> None:
    fits, folders = tmp_path / ("é" * 117), "directory/" * 380  # 234 bytes, as the longest temporary name has 255
    check_file(fits)
    check_directory(fits)
    write_atomically(fits, "content")
    for check in (check_file, check_directory):
        with pytest.raises(InputError, match="has 235 bytes, and what is written can have at most 234; name a shorter"):
            check(tmp_path / ("x" * 235))
        with pytest.raises(InputError, match="bytes, and what is written can have at most 3,840"):
            check(tmp_path / folders / ("x" * 100))


def test_a_file_written_in_parts_takes_its_name_at_the_end(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "model.keras"
    file.write_text("old")
    with atomic_file(file) as unfinished:
        unfinished.write_text("new")
        assert file.read_text() == "old" and unfinished.suffix == ".keras" and unfinished.parent == tmp_path
    assert file.read_text() == "new"
    with pytest.raises(RuntimeError, match="half-way"), atomic_file(file) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError("half-way")
    assert file.read_text() == "new" and [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_a_file_that_a_killed_process_left_is_overwritten(tmp_path: pathlib.Path) -> None:
    names = []
    for _ in range(2):
        writing = atomic_file(tmp_path / "images.tfrecord")
        unfinished = writing.__enter__()
        unfinished.write_text("half")  # the process is killed here, so the block never ends
        names.append(unfinished.name)
    assert names[0] == names[1] and sorted(path.name for path in tmp_path.iterdir()) == names[:1]


def test_a_directory_replaces_the_old_one_or_leaves_it_unchanged(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "step-4"
    directory.mkdir()
    (directory / "old").write_text("")
    with pytest.raises(RuntimeError, match="half-way"), atomic_directory(directory) as unfinished:
        (unfinished / "new").write_text("")
        raise RuntimeError("half-way")
    assert [path.name for path in directory.iterdir()] == ["old"]
    with atomic_directory(directory) as unfinished:
        (unfinished / "deeper").mkdir()
        (unfinished / "deeper" / "new").write_text("content")
    assert [path.name for path in tmp_path.iterdir()] == ["step-4"]
    assert [path.name for path in directory.rglob("*")] == ["deeper", "new"]


@pytest.fixture
def closed() -> Iterator[pathlib.Path]:
    """A directory without write permission. Root may write everywhere, so root becomes another user for the test."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # pytest's own folder is for one user only
        os.chmod(directory, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield pathlib.Path(directory)
        finally:
            os.seteuid(user)
            os.chmod(directory, 0o755)


def test_a_place_without_write_permission_is_named_before_the_work(closed: pathlib.Path) -> None:
    for check, path in (
        (check_file, closed / "file"),
        (check_directory, closed),
        (check_directory, closed / "a" / "b"),
    ):
        with pytest.raises(InputError, match=f"{path} cannot be written: you may not write to {closed}"):
            check(path)


def test_several_writers_of_one_file_do_not_disturb_one_another(tmp_path: pathlib.Path) -> None:
    contents = [str(number) * 10_000 for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "file", content), contents * 20))
    assert (tmp_path / "file").read_text() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_directory_is_flushed_to_disk_before_it_gets_its_name(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []

    def fsync(handle: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))
        flushed.append((name, (tmp_path / "step-4").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_directory(tmp_path / "step-4") as unfinished:
        (unfinished / "deeper").mkdir()
        (unfinished / "deeper" / "file").write_text("content")
    *before, last = flushed
    assert sorted(before) == [(unfinished.name, False), ("deeper", False), ("file", False)]
    assert last == (tmp_path.name, True)


def test_a_directory_loses_its_name_before_it_is_removed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process may have left a half-removed directory."""
    directory = tmp_path / "step-4"
    for path in (directory, tmp_path / "step-4.old.unfinished"):
        path.mkdir()
        (path / "file").write_text("content")
    names: list[bool] = []
    rmtree = shutil.rmtree

    def recorded(path: pathlib.Path, ignore_errors: bool = False) -> None:
        names.append(directory.exists())
        rmtree(path, ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", recorded)
    remove_directory(directory)
    assert names[-1] is False and not list(tmp_path.iterdir())
