"""Times contestants in turn in one process run, so that a noisy machine disturbs all of them alike."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf


def alternate(contestants: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Returns seconds per call of each contestant: [rounds], after one call of each that is not counted.

    Args:
        contestants: functions by name; each call must have finished its work when it returns.
        rounds: how often each is timed.
    """
    for contestant in contestants.values():
        contestant()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            started = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def report(title: str, seconds: Mapping[str, list[float]], *, ours: str, **facts: Any) -> None:
    """Prints a table (median, fastest, slowest, ratio to ours) and, as the last line, the same as a JSON object."""
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{title}\n{'':32}{'median':>10}{'fastest':>10}{'slowest':>10}{'to ours':>10}")
    for name, values in seconds.items():
        print(
            f"{name:32}{medians[name] * 1e3:7.1f} ms{min(values) * 1e3:7.1f} ms{max(values) * 1e3:7.1f} ms"
            f"{medians[name] / medians[ours]:10.2f}"
        )
    machine = {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
    ratios = {name: medians[name] / medians[ours] for name in seconds}
    print(json.dumps({"title": title, "seconds": dict(seconds), "ratios": ratios, **facts, **machine}))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
