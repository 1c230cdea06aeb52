"""JSON lines: files with one JSON object per line, which processes append to and may leave with half a line."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from typing import Any

from seer_tf.files import sealed_json


def append_sealed(path: str | os.PathLike[str], values: Mapping[str, Any]) -> None:
    """Appends an object with its checksum, as `append_line` does. The readers of this module compare the checksum.

    Raises:
        OSError: The line cannot be written; the file is unchanged.
    """
    append_line(path, sealed_json.line(values))


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Appends a line to a file, which is created if it is missing. Several processes may append at the same time.

    If a process was killed while it wrote, the last line is incomplete; it is ended first.

    Args:
        path: File to append to.
        line: JSON object without a line end.

    Raises:
        OSError: The line cannot be written; the file is unchanged.
    """
    with open(path, "a+b", buffering=0) as file:
        with contextlib.suppress(OSError):  # Some file systems have no locks; one call writes the line all the same.
            fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        missing = "\n" if file.read(1) not in (b"", b"\n") else ""
        encoded = f"{missing}{line}\n".encode()
        if file.write(encoded) != len(encoded):  # The disk is full and took only a part.
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))


def read_complete(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Yields the objects of a file in order; lines that are not a JSON object, such as half a line, are skipped."""
    return (values for _, values in numbered(path) if values is not None)


def numbered(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Yields the number, from 1, and the object of each line that is not empty; None if it is no JSON object."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, sealed_json.parse(line)
                except sealed_json.DamagedJsonError:
                    yield number, None
