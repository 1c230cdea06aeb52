"""Measures time and memory of work in a separate process, so that no other work adds to its memory.

A program in `benchmarks/` calls `report`, which prints the measurements as a line of JSON. `measured` runs the program
and reads this line.
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
    """Measurements from a separate process.

    Attributes:
        built_mib: Peak resident memory before the first call, in MiB.
        peak_mib: Peak resident memory of the whole process, in MiB.
        first_seconds: Seconds of the first call, which traces or compiles.
        seconds: Seconds of each later call.
    """

    built_mib: float
    peak_mib: float
    first_seconds: float
    seconds: list[float]

    @property
    def needed_mib(self) -> float:
        """Returns the memory that the calls needed in addition to the memory before them, in MiB."""
        return self.peak_mib - self.built_mib


def report(call: Callable[[], object], num_calls: int) -> None:
    """Makes one call and then `num_calls` further calls, and prints the measurements.

    Args:
        call: The work, for which everything is built; each call must have finished its work when it returns.
        num_calls: Number of calls after the first.
    """
    built_mib = peak_mib()
    first_seconds, *seconds = _seconds(call, 1 + num_calls)
    print(json.dumps(dataclasses.asdict(Measured(built_mib, peak_mib(), first_seconds, seconds))))


def measured(program: str, *arguments: object) -> Measured:
    """Returns the measurements that `python -m benchmarks.suite.PROGRAM ARGUMENTS...` reports.

    Raises:
        RuntimeError: The process failed.
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
