"""Savings and costs of activation checkpointing: peak memory and time of a forward and backward pass, by batch size.

Each measurement is a fresh process. Its peak resident memory is compared with that of a process that has the same
network and makes no step. The kinds take turns, so that a noisy machine disturbs all of them alike. The table has
medians: `python -m benchmarks.suite.activation_checkpointing`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf
from absl import app, flags

from benchmarks.harness.machine import peak_mib
from seer_tf import models
from seer_tf.config import ACTIVATION_CHECKPOINTING

_VARIANT = flags.DEFINE_string("variant", "8GF", "Network.")
_SIZE_PX = flags.DEFINE_integer("size_px", 224, "Side of the images.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Dtype policy of the network.")
_BATCHES = flags.DEFINE_list("batches", ["2", "4", "8", "16"], "Images in a step.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Processes for each row.")
_STEPS = flags.DEFINE_integer("steps", 3, "Timed steps of a process, after one untimed step.")


def main(argv: Sequence[str]) -> None:
    """Prints a Markdown table."""
    del argv
    idle = statistics.median(_measured(1, "none", num_steps=0)[0] for _ in range(_ROUNDS.value))
    print("| images | checkpointing | memory, MiB | to none | time, s | to none |\n|---|---|---|---|---|---|")
    for batch in [int(batch) for batch in _BATCHES.value]:
        runs: dict[str, list[tuple[float, list[float]]]] = {kind: [] for kind in ACTIVATION_CHECKPOINTING}
        for kind in ACTIVATION_CHECKPOINTING * _ROUNDS.value:
            runs[kind].append(_measured(batch, kind, num_steps=1 + _STEPS.value))
        for line in _lines(batch, idle, runs):
            print(line, flush=True)


def _lines(batch: int, idle: float, runs: dict[str, list[tuple[float, list[float]]]]) -> Iterator[str]:
    memory = {kind: statistics.median(peak for peak, _ in each) - idle for kind, each in runs.items()}
    seconds = {kind: statistics.median(s for _, timed in each for s in timed[1:]) for kind, each in runs.items()}
    for kind in runs:
        yield (
            f"| {batch} | {kind} | {memory[kind]:.0f} | {memory[kind] / memory['none']:.2f} "
            f"| {seconds[kind]:.2f} | {seconds[kind] / seconds['none']:.2f} |"
        )


def _measured(batch: int, kind: str, *, num_steps: int) -> tuple[float, list[float]]:
    """Returns a fresh process's peak resident memory in MiB, and the seconds of each of its steps."""
    case = [_VARIANT.value, str(_SIZE_PX.value), _PRECISION.value, str(batch), kind, str(num_steps)]
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.suite.activation_checkpointing", "--", *case],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, seconds = json.loads(child.stdout.splitlines()[-1])
    return peak, seconds


def _child(variant: str, size_px: str, precision: str, batch: str, kind: str, num_steps: str) -> None:
    network = models.RegNetY(variant, activation_checkpointing=kind, dtype=precision)
    images = tf.random.stateless_normal([int(batch), int(size_px), int(size_px), 3], seed=(0, 0))
    weights = [variable.value for variable in network.trainable_variables]

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.cast(network(images, training=True), tf.float32)))
        return tf.linalg.global_norm(tape.gradient(loss, weights))

    seconds = []
    for _ in range(int(num_steps)):
        started = time.perf_counter()
        step().numpy()
        seconds.append(time.perf_counter() - started)
    print(json.dumps([peak_mib(), seconds]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--"]:
        _child(*sys.argv[2:])
    else:
        app.run(main)
