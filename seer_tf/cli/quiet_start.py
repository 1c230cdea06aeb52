"""Keeps TensorFlow's remarks for its developers off the terminal; errors are still shown."""

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from seer_tf import gpu

_PACKAGE = "tensorflow"
_ERRORS, _NO_ERRORS = "2", "3"  # values of TF_CPP_MIN_LOG_LEVEL
_NOTHING_FAILED = b"\0"  # the last byte that the watcher reads, unless the import failed


def begin() -> None:
    """Makes TensorFlow quiet. Call this function before TensorFlow is imported.

    Without a GPU, TensorFlow logs errors that are harmless: there is no CUDA driver, or oneDNN lacks a fast kernel.
    Real failures raise exceptions. With a GPU TensorFlow's errors are shown, because an exception may refer to them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _ERRORS if gpu.may_be_used() else _NO_ERRORS)
    if _PACKAGE not in sys.modules:
        sys.meta_path.insert(0, _QuietImport())


def hide_gpus() -> None:
    """Hides GPUs from this process and from those that it starts. Call this function before TensorFlow is imported."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == _ERRORS:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = _NO_ERRORS


class _QuietImport:
    """An import hook that finds TensorFlow as Python does, and holds back the output of its import.

    TensorFlow's libraries log while they are loaded, before they read TF_CPP_MIN_LOG_LEVEL.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = _quietly(spec.loader.exec_module)  # type: ignore[method-assign, assignment]
        return spec


def _quietly(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def quietly(module: ModuleType) -> None:
        with _held_back():
            execute(module)

    return quietly


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back standard error, and shows it if the block raises or the process dies in the block.

    A second process holds the text, because a library may end this process: TensorFlow does so on a processor without
    AVX.
    """
    if sys.stderr is None:
        yield
        return
    reader, writer = os.pipe()
    watcher = os.fork()
    if not watcher:
        os.close(writer)
        _watch(reader)
    terminal = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield
        os.write(2, _NOTHING_FAILED)
    except KeyboardInterrupt:
        os.write(2, _NOTHING_FAILED)
        raise
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)  # closes the pipe, so that the watcher reads its end
        os.close(terminal)
        os.close(reader)
        os.waitpid(watcher, 0)


def _watch(reader: int) -> NoReturn:
    """Reads the pipe to its end, shows the text unless the import succeeded, and ends this process."""
    signal.set_wakeup_fd(-1)  # signals to this process are not passed to the other one
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(reader, "rb") as pipe:
        written = pipe.read()
    if not written.endswith(_NOTHING_FAILED):
        os.write(2, written)
    os._exit(0)
