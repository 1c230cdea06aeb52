"""Watches a command: memory, descriptors, threads and files over its time, with those of the processes it starts."""

import contextlib
import dataclasses
import os
import pathlib
import statistics
import subprocess
import time
from collections.abc import Sequence

import psutil

_QUARTERS = 4
_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Look:
    """What a command holds at one time.

    Attributes:
        memory_mib: Resident memory of all its processes.
        descriptors: Open file descriptors.
        threads: Threads.
        files: Files below the watched directory.
        files_mib: Size of these files.
        log_kib: Size of the command's output so far.
    """

    memory_mib: float
    descriptors: float
    threads: float
    files: float
    files_mib: float
    log_kib: float


QUANTITIES = {
    "memory_mib": "memory, MiB",
    "descriptors": "descriptors",
    "threads": "threads",
    "files": "files",
    "files_mib": "files, MiB",
    "log_kib": "output, KiB",
}


def watched(
    command: Sequence[str], directory: pathlib.Path, log: pathlib.Path, *, seconds_between: float = 1.0
) -> list[Look]:
    """Runs a command to its end, and looks at it at regular times.

    Args:
        command: Command with its arguments.
        directory: Directory whose files are counted.
        log: File that gets all output of the command.
        seconds_between: Time between two looks.

    Raises:
        RuntimeError: The command failed; the message has the end of its output.
    """
    looks = []
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                looks.append(_look(psutil.Process(process.pid), directory, log))
            time.sleep(seconds_between)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
    return looks


def quarters(looks: Sequence[Look]) -> dict[str, list[float]]:
    """Returns the median of each quantity in each quarter of the time, by the names of `QUANTITIES`.

    The first quarter has the start of the command. What grows without end grows from the second to the last.
    """
    bounds = [len(looks) * number // _QUARTERS for number in range(_QUARTERS + 1)]
    parts = [looks[low:high] or looks[-1:] for low, high in zip(bounds, bounds[1:], strict=False)]
    return {
        text: [statistics.median(getattr(look, name) for look in part) for part in parts]
        for name, text in QUANTITIES.items()
    }


def _look(process: psutil.Process, directory: pathlib.Path, log: pathlib.Path) -> Look:
    memory = descriptors = threads = 0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied), each.oneshot():
            memory += each.memory_info().rss
            descriptors += each.num_fds()
            threads += each.num_threads()
    sizes = _sizes(directory)
    return Look(memory / _MIB, descriptors, threads, len(sizes), sum(sizes) / _MIB, log.stat().st_size / 1024)


def _sizes(directory: pathlib.Path) -> list[int]:
    """Returns the sizes of all files below a directory; a file may be renamed meanwhile."""
    sizes = []
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                sizes.append(os.stat(os.path.join(parent, name)).st_size)
    return sizes
