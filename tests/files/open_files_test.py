"""Files that stay open: few calls for many reads, and a limit on their number."""

import os
import pathlib
import threading

import pytest

from seer_tf.files.open_files import OpenFile, OpenFiles


def _num_open(directory: pathlib.Path) -> int:
    links = (pathlib.Path("/proc/self/fd") / number for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith(f"{directory}/") for link in links if link.is_symlink())


def _files(directory: pathlib.Path, number: int) -> list[str]:
    paths = [directory / str(name) for name in range(number)]
    for path in paths:
        path.write_bytes(path.name.encode() + b"123456789")
    return list(map(str, paths))


def test_a_file_stays_open_between_reads(tmp_path: pathlib.Path) -> None:
    (path,) = _files(tmp_path, 1)
    files = OpenFiles()
    assert files.read(path, 0, 3) == b"012"
    os.unlink(path)
    assert files.read(path, 8, 100) == b"89" and files.read(path, 50, 1) == b""


def test_the_files_that_were_read_last_stay_open(tmp_path: pathlib.Path) -> None:
    paths = _files(tmp_path, 9)
    files = OpenFiles(4)
    for path in paths:
        assert files.read(path, 0, 1) == os.path.basename(path).encode()
    assert _num_open(tmp_path) == 4
    del files
    assert _num_open(tmp_path) == 0


def test_a_file_in_use_is_not_closed(tmp_path: pathlib.Path) -> None:
    """Many threads read more files than may be open; each gets the bytes of its own file."""
    paths, files = _files(tmp_path, 8), OpenFiles(1)
    wrong: list[int] = []

    def read(path: str) -> None:
        wrong.extend(1 for _ in range(300) if files.read(path, 0, 1) != os.path.basename(path).encode())

    threads = [threading.Thread(target=read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and _num_open(tmp_path) <= 1


def test_a_pipe_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        OpenFile(tmp_path / "pipe")
    assert _num_open(tmp_path) == 0
