"""Files on this machine, or behind a URL such as `s3://bucket/name`."""

import contextlib
import glob
import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import IO

from absl import logging

from seer_tf.files import atomic, open_files, remote
from seer_tf.files.remote import is_remote


def join(directory: str, name: str) -> str:
    """Returns the path of a name that is relative to a directory, absolute, or a URL."""
    return name if is_remote(name) else os.path.join(directory, name)


def read(path: str | os.PathLike, offset: int = 0, num_bytes: int = -1) -> bytes:
    """Reads a file or a part of it.

    Args:
        path: File to read.
        offset: Position of the first byte.
        num_bytes: Largest number of bytes to return; -1 returns all.

    Raises:
        OSError: The file is missing or cannot be read, or a part is asked for and the file is not a regular file but,
            for example, a pipe.
    """
    if is_remote(path):
        return remote.read(os.fspath(path), offset, num_bytes)
    if num_bytes < 0:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    with contextlib.closing(open_files.OpenFile(path)) as file:
        return file.read(offset, num_bytes)


def file_to_read(path: str | os.PathLike) -> contextlib.AbstractContextManager[IO[bytes]]:
    """Opens a file for a `with` statement.

    Raises:
        OSError: The file is missing or cannot be read.
    """
    return remote.file_to_read(os.fspath(path)) if is_remote(path) else open(path, "rb")


def size(path: str | os.PathLike) -> int:
    """Returns the size of a file in bytes.

    Raises:
        OSError: The file is missing or its size cannot be read.
    """
    return remote.size(os.fspath(path)) if is_remote(path) else os.stat(path).st_size


def sizes(directory: str | os.PathLike) -> dict[str, int]:
    """Returns the sizes of the files in a directory by their names, where one listing has them; otherwise none."""
    return remote.sizes(os.fspath(directory)) if is_remote(directory) else {}


def exists(path: str | os.PathLike) -> bool:
    """Whether a file or directory exists."""
    return remote.exists(os.fspath(path)) if is_remote(path) else os.path.exists(path)


def is_directory(path: str | os.PathLike) -> bool:
    """Whether a directory exists."""
    return remote.is_directory(os.fspath(path)) if is_remote(path) else os.path.isdir(path)


def is_file(path: str | os.PathLike) -> bool:
    """Whether a path exists and is not a directory."""
    return exists(path) and not is_directory(path)


def make_directory(path: str | os.PathLike) -> None:
    """Creates a directory and its missing parents."""
    remote.make_directory(os.fspath(path)) if is_remote(path) else os.makedirs(path, exist_ok=True)


def names(directory: str | os.PathLike) -> list[str]:
    """Returns the sorted names of the files and directories in a directory."""
    return sorted(remote.names(os.fspath(directory)) if is_remote(directory) else os.listdir(directory))


def matches(pattern: str) -> list[str]:
    """Returns the sorted paths of the files that a pattern with `*`, `?` or `[…]` stands for."""
    return sorted(remote.matches(pattern) if is_remote(pattern) else glob.glob(pattern))


def write(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file completely or not at all."""
    remote.write(os.fspath(path), content) if is_remote(path) else atomic.write_atomically(path, content)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike) -> Iterator[str]:
    """Yields a temporary path on this machine; the file written there replaces `path` when the body succeeds."""
    if not is_remote(path):
        with atomic.atomic_file(path) as local:
            yield str(local)
        return
    with tempfile.TemporaryDirectory() as scratch:
        unfinished = os.path.join(scratch, os.path.basename(path))
        yield unfinished
        remote.upload_file(unfinished, os.fspath(path))


def remove(path: str | os.PathLike) -> None:
    """Removes a file if it exists."""
    if exists(path):
        remote.remove(os.fspath(path)) if is_remote(path) else os.remove(path)


def is_hidden(name: str) -> bool:
    """Whether the name of a file or directory, without its parents, is a hidden one."""
    return name.startswith(".") and name not in (".", "..")


def walk(directory: str) -> Iterator[str]:
    """Yields the paths of all files below a directory, and of directories that cannot be read; hidden ones are skipped.

    Links are followed, but not in circles, and after all else. If several names lead to one directory, its own name
    counts, or else the first in sorted order; the log names the others.

    Raises:
        OSError: `directory` itself cannot be read.
    """
    errors: list[OSError] = []
    seen: dict[str, str] = {}
    pending = [directory]
    while pending:
        links: list[str] = []
        for parent, folders, found in itertools.chain.from_iterable(_steps(top, errors) for top in pending):
            real = os.path.realpath(parent)
            if real in seen:  # A link to a directory above would lead round for ever.
                logging.warning("%s leads to %s; its files count once, under the second name", parent, seen[real])
                folders.clear()
                continue
            seen[real] = parent
            folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
            links += (path for path in (os.path.join(parent, folder) for folder in folders) if os.path.islink(path))
            yield from (os.path.join(parent, name) for name in found if not is_hidden(name))
        pending = sorted(links)
    for error in errors:
        if error.filename == directory:
            raise error
        yield error.filename


def _steps(directory: str, errors: list[OSError]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields each directory with its directories and files, without those behind links; errors are appended."""
    return remote.walk(directory) if is_remote(directory) else os.walk(directory, onerror=errors.append)
