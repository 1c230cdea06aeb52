"""Savings and costs of micro-batches: peak memory and time of the demo's step, by `run.accumulation_steps`.

Each measurement is a fresh process. Its peak resident memory is compared with that of a process that has the same
network and makes no step. The settings take turns, so that a noisy machine disturbs all of them alike. The table has
medians: `python -m benchmarks.suite.accumulation`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.recipes import recipe

_IMAGES = 256
_PARTS = (1, 2, 4, 8)
_ROUNDS = 3
_STEPS = 6  # the first step is not timed
_KIB_PER_MIB = 1024


def main() -> None:
    """Prints a Markdown table."""
    print("| head | micro-batches | memory, MiB | to one | seconds per step | to one | seconds to trace |")
    print("|---|---|---|---|---|---|---|")
    for batch_norm in ("true", "false"):
        idle = statistics.median(_measured(1, batch_norm, num_steps=0)["mib"] for _ in range(_ROUNDS))
        runs: dict[int, list[dict]] = {parts: [] for parts in _PARTS}
        for _ in range(_ROUNDS):
            for parts, measured in runs.items():
                measured.append(_measured(parts, batch_norm, num_steps=_STEPS))
        medians = {
            parts: (
                statistics.median(each["mib"] for each in measured) - idle,
                statistics.median(seconds for each in measured for seconds in each["seconds"][1:]),
                statistics.median(each["tracing"] for each in measured),
            )
            for parts, measured in runs.items()
        }
        for parts, (mib, seconds, tracing) in medians.items():
            head = "with batch norm" if batch_norm == "true" else "without"
            print(
                f"| {head} | {parts} | {mib:.0f} | {mib / medians[1][0]:.2f} | {seconds:.2f} "
                f"| {seconds / medians[1][1]:.2f} | {tracing:.0f} |",
                flush=True,
            )


def _measured(parts: int, batch_norm: str, *, num_steps: int) -> dict:
    """Returns a fresh process's peak resident memory in MiB, the seconds of its steps, and the seconds of tracing."""
    command = [sys.executable, "-m", "benchmarks.suite.accumulation", str(parts), batch_norm, str(num_steps)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def _measure(parts: str, batch_norm: str, num_steps: str) -> None:
    fields = {
        "data.global_batch_size": _IMAGES,
        "head.batch_norm": batch_norm,
        "run.accumulation_steps": parts,
    }
    config = configs.override(recipe("demo"), [f"{field}={value}" for field, value in fields.items()])
    state = TrainState(config)
    random = np.random.default_rng(0)
    crops = tuple(
        tf.constant(random.integers(0, 256, (_IMAGES, num, side, side, 3)), tf.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )
    step = tf.function(lambda: train_step(state, crops))
    started = time.perf_counter()
    step.get_concrete_function()
    tracing, seconds = time.perf_counter() - started, []
    for _ in range(int(num_steps)):
        started = time.perf_counter()
        step()["loss"].numpy()
        seconds.append(time.perf_counter() - started)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
    print(json.dumps({"mib": mib, "seconds": seconds, "tracing": tracing}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _measure(*sys.argv[1:])
    else:
        main()
