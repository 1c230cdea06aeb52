"""Atomic writes: a file or directory exists completely or not at all.

Content is written under a temporary name beside its place and renamed when it is complete.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator

from seer_tf.errors import InputError, shorten
from seer_tf.files.remote import is_remote

#: Part of every temporary name.
UNFINISHED = ".unfinished"
#: Linux takes 255 bytes in a name and 4,095 in a path. A temporary name has 21 more, and a directory gets files.
_NAME_BYTES, _PATH_BYTES = 255 - 21, 4095 - 255


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file; an existing one is replaced. Several processes may write the same file.

    Args:
        path: File to write.
        content: Bytes, or text, which is written as UTF-8; what UTF-8 cannot express is escaped.

    Raises:
        OSError: The file cannot be written. An existing file is unchanged, and no temporary file remains.
    """
    path = pathlib.Path(path)
    with _renamed(path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}"), path) as unfinished:
        unfinished.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], writer: str = "") -> Iterator[pathlib.Path]:
    """Yields a temporary path with the same suffix; the file written there replaces `path` when the body succeeds.

    The temporary name is always the same, so a process that was killed leaves at most one file, which the next attempt
    overwrites. Therefore only one process at a time may write a file this way, or each has a name as `writer`.

    Args:
        path: File to write.
        writer: Part of the temporary name.
    """
    path = pathlib.Path(path)
    with _renamed(path.with_name(f".{path.stem}{writer}{UNFINISHED}{path.suffix}"), path) as unfinished:
        yield unfinished


@contextlib.contextmanager
def _renamed(unfinished: pathlib.Path, path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields `unfinished` and renames it to `path`, or removes it if the body fails."""
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_directory(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty directory beside `path`; it is flushed to the disk and replaces `path` when the body succeeds.

    If the body fails, the directory is removed and an existing `path` is unchanged.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        finish_directory(unfinished, path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def finish_directory(unfinished: pathlib.Path, path: pathlib.Path) -> None:
    """Flushes a directory to the disk and gives it its name; a directory of that name is replaced."""
    for written in (*unfinished.rglob("*"), unfinished):
        _flush(written)
    remove_directory(path)
    unfinished.rename(path)
    _flush(path.parent)


def remove_directory(path: pathlib.Path) -> None:
    """Removes a directory if it exists. It loses its name first, so nobody finds it half removed."""
    if path.exists():
        unwanted = path.with_name(f"{path.name}.old{UNFINISHED}")
        shutil.rmtree(unwanted, ignore_errors=True)
        path.rename(unwanted)
        shutil.rmtree(unwanted)


def remove_left_over(directory: str | os.PathLike[str]) -> None:
    """Removes the unfinished files of processes that were killed. No other process may be writing to the directory."""
    for path in pathlib.Path(directory).iterdir():
        if is_left_over(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def is_left_over(name: str) -> bool:
    """Returns whether a file or directory with this name, without its parents, is unfinished."""
    return name.startswith(".") and UNFINISHED in name


def _flush(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_file(path: str | os.PathLike[str]) -> None:
    """Checks that a file can be written, before the work whose result it will hold.

    Raises:
        InputError: `path` is too long, a URL or a directory, its parent is no directory, or it may not be written.
    """
    path = _local(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file to write")
    if not path.parent.is_dir():
        raise InputError(
            f"{path} cannot be written, since {path.parent} is no directory; make it or name another place"
        )
    _check_writable(path, path if path.exists() else path.parent)


def check_directory(path: str | os.PathLike[str]) -> None:
    """Checks that a directory exists or can be created, together with its parents, and can be written.

    Raises:
        InputError: `path` is too long, a URL or not UTF-8, or it may not be written, or it or one of its parents is a
            file.
    """
    path = _local(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{path} cannot be written, since TensorFlow takes only names in UTF-8; name another place"
        ) from None
    there = next((place for place in (path, *path.parents) if place.exists()), path)
    if there.exists() and not there.is_dir():
        raise InputError(f"{path} cannot be a directory, since {there} is a file; name another place")
    _check_writable(path, there)


def _local(path: str | os.PathLike[str]) -> pathlib.Path:
    if is_remote(path):
        raise InputError(f"{os.fspath(path)} is a URL; name a place on this machine, and copy what is written there")
    path = pathlib.Path(path)
    _check_room(path)
    return path


def _check_room(path: pathlib.Path) -> None:
    """Raises an error for a path that leaves no room for temporary names and for files in it."""
    for part, most in ((path.name, _NAME_BYTES), (os.path.abspath(path), _PATH_BYTES)):
        if (found := len(os.fsencode(part))) > most:
            raise InputError(
                f"{shorten(part)} has {found:,} bytes, and what is written can have at most {most:,}; name a shorter "
                "path"
            )


def _check_writable(path: pathlib.Path, there: pathlib.Path) -> None:
    if not os.access(there, os.W_OK, effective_ids=True):
        raise InputError(f"{path} cannot be written: you may not write to {there}; name another place")
