"""New directories: each is made by one process, completely or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from seer_tf.errors import InputError
from seer_tf.files import remote
from seer_tf.files.atomic import UNFINISHED, check_directory, finish_directory
from seer_tf.files.lock import locked
from seer_tf.files.remote import is_remote

_LOCK = f"{UNFINISHED}.lock"  # No other program's lock has this name, so a complete directory can lose it.


@contextlib.contextmanager
def new_directory(output: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a directory to write into. It gets the name `output` at the end, or is removed if the body fails.

    The directory lies beside `output` and is locked, so that only one process at a time makes `output`. The next
    process removes the files of a process that died, and the lock of one that died just after it had made `output`.
    For a URL the directory lies on this machine and is copied at the end; nothing is locked.

    Args:
        output: Directory to make, or its URL.

    Raises:
        InputError: `output` exists, another process is making it, or it cannot be made.
    """
    if not is_remote(output):
        with contextlib.suppress(OSError):  # `check_new` says what is wrong with the path
            Path(output, _LOCK).unlink()
    check_new(output)
    with _copied(os.fspath(output)) if is_remote(output) else _renamed(Path(output)) as directory:
        yield directory


@contextlib.contextmanager
def _copied(url: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as scratch:
        yield Path(scratch)
        check_new(url)
        try:
            remote.upload_directory(Path(scratch), url)
        except OSError as error:
            raise InputError(f"{url} cannot be written ({error.strerror}); correct this and try again") from None


@contextlib.contextmanager
def _renamed(output: Path) -> Iterator[Path]:
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}{UNFINISHED}")
    with _locked(partial, output):
        try:
            check_new(output)  # the process that held the lock may have made it
            _remove_what_was_left(partial)
            yield partial
            check_new(output)
            finish_directory(partial, output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        (output / _LOCK).unlink(missing_ok=True)


def _remove_what_was_left(partial: Path) -> None:
    for left in partial.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif left.name != _LOCK:
            left.unlink()


def check_new(output: str | os.PathLike[str]) -> None:
    """Checks that a new directory can be made.

    Raises:
        InputError: The directory exists, or it cannot be made at this place.
    """
    if remote.exists(os.fspath(output)) if is_remote(output) else os.path.lexists(output):
        raise InputError(f"{output} exists already; name another output directory or remove it")
    if not is_remote(output):
        check_directory(output)


@contextlib.contextmanager
def _locked(partial: Path, output: Path) -> Iterator[None]:
    """Makes a directory and locks it."""
    while True:
        partial.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack:
            try:
                descriptor = stack.enter_context(locked(partial / _LOCK))
                is_there = os.path.samestat(os.fstat(descriptor), (partial / _LOCK).stat())
            except BlockingIOError:
                raise InputError(
                    f"another process is writing {output}: wait until it ends, or name another output directory"
                ) from None
            except FileNotFoundError:  # the process that held the lock has just ended
                is_there = False
            if is_there:
                yield
                return
