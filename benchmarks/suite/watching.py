"""The cost of watching a run: the numbers of each step, and the measurements between two lines of the log.

`python -m benchmarks.suite.watching` makes steps of recipe demo with and without the numbers, in turn. It also times
the measurements and relates them to the default intervals: the gallery every `run.log_every_steps`, the probe and the
pictures every `run.examine_every_steps`. `checkpoint.py` measures the cost of checkpoints.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import tensorflow as tf

from benchmarks.harness.comparison import compare
from benchmarks.suite import one_step
from seer_tf.config import RunConfig
from seer_tf.data.sources.registry import open_source
from seer_tf.evaluation.protocols.online_probe import OnlineProbe
from seer_tf.methods.swav import metrics
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.gallery import Gallery
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.tensorboard import Summaries

_ROUNDS = 40
_LOOKS = 7


def main() -> None:
    """Runs the benchmark and prints shares of the time."""
    config = recipe("demo")
    state, source = TrainState(config), open_source("builtin")
    contestants = {"with the numbers": _step(state), "without": _bare_step(state)}
    steps = compare("SwAV step of recipe demo", contestants, rounds=_ROUNDS)
    print(steps.table())
    step = statistics.median(steps.seconds["without"])
    gallery = Gallery(source, config, state.model)
    probe = OnlineProbe(open_source("builtin:test"), source, config).of(state.model)
    with tempfile.TemporaryDirectory() as directory:
        summaries = Summaries(Path(directory), config)
        look = _median_seconds(lambda: summaries.numbers(1, gallery.outputs().numbers()))
        outputs = gallery.outputs()
        sheets = _median_seconds(
            lambda: summaries.pictures(
                1, {"a": gallery.prototype_sheet(outputs), "b": gallery.neighbour_sheet(outputs)}, ""
            )
        )
    probed = _median_seconds(probe)
    default = RunConfig()
    per_step = look / default.log_every_steps + (sheets + probed) / default.examine_every_steps
    print(f"a look at the gallery {1000 * look:.0f} ms, pictures {1000 * sheets:.0f} ms, probe {1000 * probed:.0f} ms")
    print(f"between the steps, at the default intervals: {per_step / step:.2%} of the time")


def _step(state: TrainState) -> Callable[[], object]:
    crops = tuple(map(tf.constant, one_step.crops_of(state.config)))
    step = tf.function(lambda: train_step(state, crops)).get_concrete_function()
    return lambda: [value.numpy() for value in step().values()]


def _bare_step(state: TrainState) -> Callable[[], object]:
    with mock.patch.multiple(metrics, of_step=lambda *_: {}, of_update=lambda *_: {}):
        return _step(state)


def _median_seconds(work: Callable[[], object]) -> float:
    work()  # the first call builds the graph and does not count
    seconds = []
    for _ in range(_LOOKS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
