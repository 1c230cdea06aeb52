"""Errors of the system about a place become sentences; errors of the program keep their type."""

import errno
import os
import pathlib

import pytest

from seer_tf.errors import InputError
from seer_tf.files.system_errors import system_errors_named, takes_paths


@takes_paths
def _written(path: str | pathlib.Path, error: OSError | None = None, names: object = ()) -> str:
    if error is not None:
        raise error
    return str(path)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "place: No space left on device; nothing half-written is left; make room there"),
        (errno.EROFS, "place: Read-only file system; nothing half-written is left; name another place"),
        (errno.ENAMETOOLONG, "place: File name too long; nothing half-written is left; name a shorter path"),
    ],
)
def test_an_error_about_a_place_names_it_and_says_what_to_do(number: int, sentence: str) -> None:
    error = OSError(number, os.strerror(number), "place")
    with pytest.raises(InputError) as found:
        _written("x", error=error)
    assert str(found.value) == sentence and found.value.__cause__ is error


def test_an_error_without_a_place_is_about_the_output() -> None:
    with pytest.raises(InputError, match="^the output: No space left"), system_errors_named():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_other_errors_keep_their_type() -> None:
    with pytest.raises(FileNotFoundError):
        _written("x", error=FileNotFoundError(errno.ENOENT, "gone"))


def test_a_nul_byte_is_refused_wherever_it_stands() -> None:
    for given in ({"path": "a\0b"}, {"path": pathlib.Path("a\0b")}, {"path": "x", "names": ["y", "a\0b"]}):
        with pytest.raises(InputError, match=r"^a\\x00b has a NUL byte, which no path can have; remove it$"):
            _written(**given)
    assert _written("x", names=[0, "y"]) == "x" and _written.__name__ == "_written"
