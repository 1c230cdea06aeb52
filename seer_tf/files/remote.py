"""Files behind a URL that fsspec opens: `s3://`, `gs://`, `http(s)://`, `memory://` and others."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator
from typing import IO, Any

import fsspec

from seer_tf.errors import InputError

_URL = re.compile(r"[A-Za-z][\w+.-]*://")
_REMEDY = "correct the URL, or install the package for it: pip install 'seer_tf[remote]'"


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a URL."""
    return _URL.match(os.fspath(path)) is not None


def has_directories(url: str | os.PathLike[str]) -> bool:
    """Whether the directory behind a URL can be listed. HTTP has files only."""
    return not os.fspath(url).startswith(("http://", "https://"))


def read(url: str, offset: int, num_bytes: int) -> bytes:
    """Reads a file, or a part of it; `storage.read` has the arguments."""
    with _opened(url) as (system, path):
        if num_bytes < 0:
            return system.cat_file(path)
        found = system.cat_file(path, start=offset, end=offset + num_bytes) if num_bytes else b""
    # Some HTTP servers know no parts and answer with the whole file.
    return found if len(found) <= num_bytes else found[offset : offset + num_bytes]


@contextlib.contextmanager
def file_to_read(url: str) -> Iterator[IO[bytes]]:
    """Opens a file that reads ahead and can seek."""
    with _opened(url) as (system, path):
        file = system.open(path, "rb")
    with file:
        yield file


def size(url: str) -> int:
    """Returns the size of a file in bytes."""
    with _opened(url) as (system, path):
        found = system.size(path)
        if found is None:
            raise OSError("the server does not state the size of the file")
        return found


def exists(url: str) -> bool:
    """Whether a file or directory exists."""
    with _answered(url), _opened(url) as (system, path):
        return system.exists(path)


def is_directory(url: str) -> bool:
    """Whether a directory exists; never so for HTTP."""
    if not has_directories(url):
        return False
    with _answered(url), _opened(url) as (system, path):
        return system.isdir(path)


def names(url: str) -> list[str]:
    """Returns the names in a directory; none if it is missing, because a bucket has no empty directories."""
    try:
        with _opened(url) as (system, path):
            return [os.path.basename(name.rstrip("/")) for name in system.ls(path, detail=False)]
    except FileNotFoundError:
        return []


def sizes(url: str) -> dict[str, int]:
    """Returns the sizes in bytes of the files in a directory by their names, in one listing; none for HTTP."""
    if not has_directories(url):
        return {}
    with _answered(url), _opened(url) as (system, path):
        return {os.path.basename(file["name"]): file["size"] for file in system.ls(path, detail=True)}


def matches(pattern: str) -> list[str]:
    """Returns the URLs of the files that a pattern with `*`, `?` or `[…]` stands for."""
    with _answered(pattern), _opened(pattern) as (system, path):
        return [system.unstrip_protocol(found) for found in system.glob(path)]


def walk(url: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields each directory with its directories and files, as `os.walk` does."""
    with _opened(url) as (system, top):
        for parent, folders, files in system.walk(top, on_error="raise"):
            yield os.path.join(url, parent[len(top) :].strip("/")), folders, files


def make_directory(url: str) -> None:
    """Creates a directory and its missing parents, where the file system has such."""
    with _opened(url) as (system, path):
        system.makedirs(path, exist_ok=True)


def write(url: str, content: bytes) -> None:
    """Writes a file, which gets its content at once."""
    with _opened(url) as (system, path):
        system.pipe_file(path, content)


def upload_file(file: str, url: str) -> None:
    """Copies a file of this machine; the copy gets its content at once."""
    with _opened(url) as (system, path):
        system.put_file(file, path)


def upload_directory(directory: pathlib.Path, url: str) -> None:
    """Copies a directory of this machine to a new place. If the copy fails, what was copied is removed."""
    with _opened(url) as (system, path):
        try:
            system.put(f"{directory}/", path, recursive=True)
        except BaseException:
            with contextlib.suppress(Exception):
                system.rm(path, recursive=True)
            raise


def remove(url: str) -> None:
    """Removes a file."""
    with _opened(url) as (system, path):
        system.rm_file(path)


@contextlib.contextmanager
def _opened(url: str) -> Iterator[tuple[Any, str]]:
    """Yields the file system of a URL and the path in it. Errors of any package for it become errors of the system.

    Raises:
        InputError: There is no package for the URL.
        OSError: The body failed.
    """
    try:  # Listings are not kept, since other machines write there too.
        system, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url} cannot be opened ({error}); {_REMEDY}") from None
    try:
        yield system, path
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "there is no such file or directory", url) from None
    except Exception as error:
        raise OSError(errno.EIO, str(error).partition("\n")[0] or type(error).__name__, url) from error


@contextlib.contextmanager
def _answered(url: str) -> Iterator[None]:
    """Turns an error of the system into an `InputError`, for questions about what exists."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{url} cannot be reached ({error.strerror}); check the network, and your permission to read there"
        ) from error
