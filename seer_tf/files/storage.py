"""Files on this machine or, by a URL such as `gs://bucket/name`, wherever `tf.io.gfile` reaches."""

import errno
import os
import stat
from collections.abc import Iterator

import tensorflow as tf

from seer_tf.files.atomic import write_atomically


def is_remote(path: str | os.PathLike) -> bool:
    """Returns whether a path is a URL, so that only `tf.io.gfile` can open it."""
    return "://" in os.fspath(path)


def read(path: str | os.PathLike, offset: int = 0, num_bytes: int = -1) -> bytes:
    """Returns bytes of a file from `offset` on, at most `num_bytes`, all where that is -1.

    Raises:
        OSError: the file is missing or cannot be read, or a part is asked of what is no regular file, as of a pipe.
    """
    if not is_remote(path):
        if num_bytes < 0:
            with open(path, "rb", buffering=0) as file:
                return file.read()
        # Not waiting, as one would for somebody to write into a pipe.
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
            return os.pread(file.fileno(), num_bytes, offset)
    try:
        with tf.io.gfile.GFile(os.fspath(path), "rb") as file:
            file.seek(offset)
            return file.read(num_bytes)
    except tf.errors.OpError as error:
        raise _os_error(error, path) from None


def size(path: str | os.PathLike) -> int:
    """Returns the size of a file in bytes.

    Raises:
        OSError: the file is missing or cannot be looked at.
    """
    if not is_remote(path):
        return os.stat(path).st_size
    try:
        return tf.io.gfile.stat(os.fspath(path)).length
    except tf.errors.OpError as error:
        raise _os_error(error, path) from None


def exists(path: str | os.PathLike) -> bool:
    """Returns whether there is such a file or directory."""
    return tf.io.gfile.exists(os.fspath(path)) if is_remote(path) else os.path.exists(path)


def is_directory(path: str | os.PathLike) -> bool:
    """Returns whether there is such a directory."""
    return tf.io.gfile.isdir(os.fspath(path)) if is_remote(path) else os.path.isdir(path)


def is_file(path: str | os.PathLike) -> bool:
    """Returns whether there is such a file, and not a directory."""
    return exists(path) and not is_directory(path)


def make_directory(path: str | os.PathLike) -> None:
    """Makes a directory and what is missing above it."""
    tf.io.gfile.makedirs(os.fspath(path)) if is_remote(path) else os.makedirs(path, exist_ok=True)


def names(directory: str | os.PathLike) -> list[str]:
    """Returns the names in a directory, sorted."""
    found = tf.io.gfile.listdir(os.fspath(directory)) if is_remote(directory) else os.listdir(directory)
    return sorted(name.rstrip("/") for name in found)


def write(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    if not is_remote(path):
        write_atomically(path, content)
        return
    temporary = f"{os.fspath(path)}.unfinished"
    with tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(content)
    rename(temporary, path)


def rename(path: str | os.PathLike, new_path: str | os.PathLike) -> None:
    """Gives a file another name; a file that has it already is replaced."""
    if is_remote(path):
        tf.io.gfile.rename(os.fspath(path), os.fspath(new_path), overwrite=True)
    else:
        os.replace(path, new_path)


def remove(path: str | os.PathLike) -> None:
    """Removes a file; one that is not there is no matter."""
    if exists(path):
        tf.io.gfile.remove(os.fspath(path)) if is_remote(path) else os.remove(path)


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder, by its name without those above it, is a hidden one."""
    return name.startswith(".") and name not in (".", "..")


def walk(directory: str) -> Iterator[str]:
    """Yields the path of whatever is no folder below `directory`, and of folders that cannot be read; nothing hidden.

    Links are followed, but not in circles. Of a folder that has several names the first counts, as they are sorted.

    Raises:
        OSError: `directory` itself cannot be read.
    """
    errors: list[OSError] = []
    steps = (
        tf.io.gfile.walk(directory)
        if is_remote(directory)
        else os.walk(directory, onerror=errors.append, followlinks=True)
    )
    seen = set()
    for parent, folders, found in steps:
        real = os.path.realpath(parent)
        if real in seen:  # A link to a folder above would lead round for ever.
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
        yield from (os.path.join(parent, name) for name in found if not is_hidden(name))
    for error in errors:
        if error.filename == directory:
            raise error
        yield error.filename


def _os_error(error: tf.errors.OpError, path: str | os.PathLike) -> OSError:
    reason = error.message.partition("\n")[0] or type(error).__name__
    return OSError(errno.EIO, reason, os.fspath(path))
