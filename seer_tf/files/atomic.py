"""Files that are there whole or not at all, and where they and directories can be written."""

import os
import pathlib
import tempfile

from seer_tf.errors import InputError


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file beside its place and renames it, so that nobody ever finds half of it.

    Args:
        path: of the file; one that is there is replaced.
        content: text, written as UTF-8, or bytes.

    Raises:
        OSError: it cannot be written; the file that was there is as it was, and nothing else is left.
    """
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # a temporary file is for its owner only
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def check_file(path: str | os.PathLike[str]) -> None:
    """Looks whether a file can be written here, before the work that it takes the result of.

    Raises:
        InputError: it is a directory, or would be in one that is not there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file to write")
    if not path.parent.is_dir():
        raise InputError(
            f"{path} cannot be written, since {path.parent} is no directory; make it or name another place"
        )


def check_directory(path: str | os.PathLike[str]) -> None:
    """Looks whether a directory is here or can be made, with those that it lies in.

    Raises:
        InputError: what it would be, or lie in, is a file.
    """
    path = pathlib.Path(path)
    there = next((place for place in (path, *path.parents) if place.exists()), path)
    if there.exists() and not there.is_dir():
        raise InputError(f"{path} cannot be a directory, since {there} is a file; name another place")
