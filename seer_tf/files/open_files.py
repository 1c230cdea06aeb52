"""Files that stay open for many small reads. On a disk far away, opening a file takes as long as reading from it."""

import errno
import functools
import os
import resource
import stat
import weakref

from seer_tf.files import remote

_MOST_FILES = 4096


class OpenFile:
    """A regular file on this machine that is open for reading until it is closed, or until nobody uses it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens a file.

        Raises:
            OSError: The file is missing, cannot be read, or is not a regular file but, for example, a pipe.
        """
        # Without O_NONBLOCK, opening a pipe waits until another process writes to it.
        self._handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.close = weakref.finalize(self, os.close, self._handle)
        mode = os.fstat(self._handle).st_mode
        if not stat.S_ISREG(mode):
            self.close()
            reason = os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "not a regular file"
            raise OSError(errno.EINVAL, reason, os.fspath(path))

    def read(self, offset: int, num_bytes: int) -> bytes:
        """Returns at most `num_bytes` bytes from `offset` on."""
        return os.pread(self._handle, num_bytes, offset)


class OpenFiles:
    """Reads parts of files, and keeps the files open that were read last. Several threads may read at once."""

    def __init__(self, most: int | None = None) -> None:
        """Opens nothing yet.

        Args:
            most: Largest number of files that stay open; None for a quarter of what a process may open, so that it can
                read several sets of images.
        """
        self._opened = functools.lru_cache(_quarter() if most is None else most)(OpenFile)

    def read(self, path: str, offset: int, num_bytes: int) -> bytes:
        """Reads a part of a file on this machine or behind a URL; as `storage.read`."""
        if remote.is_remote(path):
            return remote.read(path, offset, num_bytes)
        return self._opened(path).read(offset, num_bytes)


def _quarter() -> int:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_FILES if allowed == resource.RLIM_INFINITY else min(_MOST_FILES, allowed // 4)
