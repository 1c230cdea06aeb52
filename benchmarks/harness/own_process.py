"""Work in a process of its own, so that its memory can be told from that of everything else: seconds and peak.

A program of `benchmarks/` calls `report` and prints what it found as a line of JSON; `measured` runs it and reads that.
"""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from benchmarks.harness.machine import peak_mib


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a process of its own found.

    Attributes:
        built_mib: The most memory that was resident before the first call.
        peak_mib: The most that the process ever held.
        first_seconds: First of the first call, which traces or compiles.
        seconds: Seconds of each call after it.
    """

    built_mib: float
    peak_mib: float
    first_seconds: float
    seconds: list[float]

    @property
    def needed_mib(self) -> float:
        """What the calls needed beside what was there before them."""
        return self.peak_mib - self.built_mib


def report(call: Callable[[], object], num_calls: int) -> None:
    """Makes a call, then as many as are timed, and prints what was measured; everything is built before it.

    Args:
        call: The work; it must be finished when it returns.
        num_calls: Number of calls after the first.
    """
    built_mib = peak_mib()
    first_seconds, *seconds = _seconds(call, 1 + num_calls)
    print(json.dumps(dataclasses.asdict(Measured(built_mib, peak_mib(), first_seconds, seconds))))


def measured(program: str, *arguments: object) -> Measured:
    """Returns what `python -m benchmarks.suite.PROGRAM ARGUMENTS...` reports.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-m", f"benchmarks.suite.{program}", *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{child.stderr}")
    return Measured(**json.loads(child.stdout.splitlines()[-1]))


def _seconds(call: Callable[[], object], num_calls: int) -> Iterator[float]:
    for _ in range(num_calls):
        started = time.perf_counter()
        call()
        yield time.perf_counter() - started
