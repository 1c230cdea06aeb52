"""Errors of the system about a place, such as a full disk or a path that is too long, as one sentence."""

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from seer_tf.errors import InputError, shorten

_ADVICE = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name another place",
    errno.ENAMETOOLONG: "name a shorter path",
}

P = ParamSpec("P")
T = TypeVar("T")


@contextlib.contextmanager
def system_errors_named() -> Iterator[None]:
    """Turns an error of the system about a place into one sentence.

    Raises:
        InputError: The body met a full disk, missing permissions, or a path that is too long.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        place = shorten(error.filename or "the output")
        raise InputError(f"{place}: {error.strerror}; nothing half-written is left; {_ADVICE[error.errno]}") from error


def takes_paths(function: Callable[P, T]) -> Callable[P, T]:
    """Makes a public function refuse, in one sentence, a path that the system does not take.

    Args:
        function: Function whose arguments may be paths.

    Returns:
        The function; it raises an `InputError` for a path with a NUL byte and for the errors of `system_errors_named`.
    """

    @functools.wraps(function)
    def answered(*args: P.args, **kwargs: P.kwargs) -> T:
        _check_nul(*args, *kwargs.values())
        with system_errors_named():
            return function(*args, **kwargs)

    return answered


def _check_nul(*values: object) -> None:
    for value in values:
        if isinstance(value, (list, tuple)):
            _check_nul(*(each for each in value if isinstance(each, (str, os.PathLike))))
        elif isinstance(value, (str, os.PathLike)) and "\0" in os.fsdecode(value):
            raise InputError(f"{shorten(os.fsdecode(value))} has a NUL byte, which no path can have; remove it")
