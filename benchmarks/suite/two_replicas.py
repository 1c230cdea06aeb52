"""Steps of two replicas of this checkout and of another one, in turn: time and memory.

`python -m benchmarks.suite.two_replicas CHECKOUT [ROUNDS [section.field=value ...]]` prints a table. `git worktree add
CHECKOUT COMMIT` makes the other checkout. In each round each checkout runs in a fresh process, and the first one
changes.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.harness.comparison import Ratio

_STEPS, _ROUNDS = 10, 7
_FIELDS = ("data.global_batch_size=16", "crops.sizes_px=96,48", "run.batch_norm_group_replicas=0")
_PROGRAM = pathlib.Path(__file__).with_name("replica_steps.py")
_HERE = _PROGRAM.parents[2]


def main(other: str, num_rounds: str = str(_ROUNDS), *assignments: str) -> None:
    """Prints the table."""
    checkouts = {"this checkout": _HERE, "the other": pathlib.Path(other).resolve()}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
    for number in range(int(num_rounds)):
        for name in sorted(checkouts, reverse=bool(number % 2)):
            found[name].append(_measured(checkouts[name], assignments or _FIELDS))
    print("| | a step, ms | peak memory, MiB |\n|---|---|---|")
    for name, rounds in found.items():
        peak = statistics.median(one["peak_mib"] for one in rounds)
        print(f"| {name} | {1e3 * statistics.median(_seconds(rounds)):.0f} | {peak:,.0f} |")
    ours, others = found.values()
    print(f"\nThe other to this one, time: {_text(_seconds(others), _seconds(ours))}")
    print(f"The other to this one, memory: {_text(_peaks(others), _peaks(ours))}")


def _measured(checkout: pathlib.Path, assignments: tuple[str, ...]) -> dict[str, Any]:
    command = [sys.executable, "-P", str(_PROGRAM), str(_STEPS), *assignments]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    child = subprocess.run(command, capture_output=True, text=True, env=environment)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{child.stderr}")
    return json.loads(child.stdout.splitlines()[-1])


def _seconds(rounds: list[dict[str, Any]]) -> list[float]:
    return [statistics.median(one["seconds"]) for one in rounds]


def _peaks(rounds: list[dict[str, Any]]) -> list[float]:
    return [one["peak_mib"] for one in rounds]


def _text(above: list[float], below: list[float]) -> str:
    ratio = Ratio.of(above, below)
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


if __name__ == "__main__":
    main(*sys.argv[1:])
