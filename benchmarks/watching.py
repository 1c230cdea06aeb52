"""What watching a run costs: the numbers of each step, what is looked at between two lines of the log, checkpoints.

`python benchmarks/watching.py` makes the steps of recipe demo with and without the numbers, in turn. It times the looks
at the default config's intervals: every `run.log_every_steps` at the gallery, every `run.examine_every_steps` at the
probe and the pictures. Of a checkpoint it counts the time for which the steps wait and all the processor time that the
writing takes from them in the background.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks import timing
from seer_tf.config import RunConfig
from seer_tf.data.sources import open_source
from seer_tf.evaluation.online_probe import OnlineProbe
from seer_tf.recipes import recipe
from seer_tf.train import measurements
from seer_tf.train.checkpoints import Checkpoints
from seer_tf.train.gallery import Gallery
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState
from seer_tf.train.step import train_step
from seer_tf.train.summaries import Summaries

_ROUNDS = 40
_LOOKS = 7


def main() -> None:
    """Runs the benchmark and prints shares of the time."""
    config = recipe("demo")
    state, source = TrainState(config), open_source("builtin")
    seconds = timing.alternate({"with the numbers": _step(state), "without": _bare_step(state)}, rounds=_ROUNDS)
    timing.report("SwAV step of recipe demo", seconds, ours="with the numbers")
    step = statistics.median(seconds["without"])
    gallery = Gallery(source, config, state.model)
    probe = OnlineProbe(open_source("builtin:test"), source, config).of(state.model)
    with tempfile.TemporaryDirectory() as directory:
        summaries = Summaries(Path(directory), config)
        look = _median_seconds(lambda: summaries.numbers(1, gallery.view().numbers()))
        view = gallery.view()
        sheets = _median_seconds(
            lambda: summaries.pictures(1, {"a": gallery.prototype_sheet(view), "b": gallery.neighbour_sheet(view)})
        )
    probed = _median_seconds(probe)
    default = RunConfig()
    per_step = look / default.log_every_steps + (sheets + probed) / default.examine_every_steps
    print(f"a look at the gallery {1000 * look:.0f} ms, pictures {1000 * sheets:.0f} ms, probe {1000 * probed:.0f} ms")
    print(f"between the steps, at the default intervals: {per_step / step:.2%} of the time")
    waited, processor = _checkpoint_seconds(state)
    share = (waited + processor) / (default.checkpoint_every_steps * step)
    print(
        f"a checkpoint: the steps wait {1000 * waited:.0f} ms, {1000 * processor:.0f} ms of processor time; "
        f"at the default interval at most {share:.2%} of the time"
    )


def _step(state: TrainState) -> Callable[[], object]:
    config, random = state.config, np.random.default_rng(0)
    crops = tuple(
        tf.constant(random.integers(0, 256, (config.data.global_batch_size, num, side, side, 3)), tf.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )
    step = tf.function(lambda: train_step(state, crops)).get_concrete_function()
    return lambda: [value.numpy() for value in step().values()]


def _bare_step(state: TrainState) -> Callable[[], object]:
    with mock.patch.multiple(measurements, of_step=lambda *_: {}, of_update=lambda *_: {}):
        return _step(state)


def _checkpoint_seconds(state: TrainState) -> tuple[float, float]:
    """Returns for how long `save` holds the steps up, and the processor time of all of a checkpoint."""
    waited, processor = [], []
    with tempfile.TemporaryDirectory() as directory:
        checkpoints = Checkpoints(RunDirectory(directory), state)
        for _ in range(_LOOKS):
            state.step.assign_add(1)
            started, started_processor = time.perf_counter(), time.process_time()
            checkpoints.save()
            waited.append(time.perf_counter() - started)
            checkpoints.wait()
            processor.append(time.process_time() - started_processor)
    return statistics.median(waited), statistics.median(processor)


def _median_seconds(work: Callable[[], object]) -> float:
    work()  # what is built at the first time does not count
    seconds = []
    for _ in range(_LOOKS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
