"""An inter-process lock, released when its holder exits."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from absl import logging


@contextlib.contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[int]:
    """Holds the lock of a file during the body of a `with` statement.

    The file is created if it is missing, and it is never removed: if it were, one process could hold the lock of the
    removed file and another process that of a new file with the same name. If the file system has no locks, the
    function logs a warning and goes on.

    Args:
        path: Lock file.

    Yields:
        The descriptor of the open file.

    Raises:
        BlockingIOError: Another process holds the lock.
        OSError: The file cannot be created.
    """
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            logging.warning("%s cannot be locked (%s): let one process at a time work there", path, error.strerror)
        yield file.fileno()
