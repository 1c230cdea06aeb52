"""A lock between processes, which a process that dies gives back."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Holds the lock of a file in the body of a `with` statement.

    The file is made if need be, and stays: one that is removed may be held by another process already, and by a third
    one under its name. Where the file system has no locks, a warning says so.

    Args:
        path: of the file.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            logging.warning("%s cannot be locked (%s): let one process at a time work there", path, error.strerror)
        yield
