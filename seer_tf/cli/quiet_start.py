"""Keeps TensorFlow's remarks for its developers off the terminal; what goes wrong is still shown."""

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

_PACKAGE = "tensorflow"
_NOTHING_FAILED = b"\0"  # the last byte that the watcher reads, unless the import failed


def begin() -> None:
    """Makes TensorFlow quiet; call it before TensorFlow is imported.

    Without a GPU, TensorFlow logs an error where nothing is wrong: there is no CUDA driver, or oneDNN lacks a fast
    kernel. What it cannot do, it raises. With a GPU its errors are shown, since an exception may refer to them.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _may_use_a_gpu() else "3")
    if _PACKAGE not in sys.modules:
        sys.meta_path.insert(0, _QuietImport())


class _QuietImport:
    """Finds TensorFlow once, as Python does, and holds back what its import writes.

    Its libraries log while they are loaded, before they read TF_CPP_MIN_LOG_LEVEL.
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


def _may_use_a_gpu() -> bool:
    return os.path.exists("/dev/nvidiactl") and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1")


def _quietly(execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def quietly(module: ModuleType) -> None:
        with _held_back():
            execute(module)

    return quietly


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Holds back what goes to standard error, and shows it if the block raises or the process dies in it.

    A process watches, since a library may end this one: TensorFlow does so on a processor without AVX.
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
        os.dup2(terminal, 2)  # the watcher reads the end
        os.close(terminal)
        os.close(reader)
        os.waitpid(watcher, 0)


def _watch(reader: int) -> NoReturn:
    """Reads to the end, shows what it read unless all went well, and ends this process."""
    signal.set_wakeup_fd(-1)  # what it receives is not passed to the other process
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with open(reader, "rb") as pipe:
        written = pipe.read()
    if not written.endswith(_NOTHING_FAILED):
        os.write(2, written)
    os._exit(0)
