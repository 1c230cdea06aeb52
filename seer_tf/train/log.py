"""The log of a run: what its steps return becomes numbers, a line on the terminal, events, pictures, and a verdict."""

import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf
from absl import logging

from seer_tf.data.source import Source
from seer_tf.models.swav_model import SwavModel
from seer_tf.progress import Progress
from seer_tf.train import measurements
from seer_tf.train.checkpoints import Quality
from seer_tf.train.gallery import RANK_ME, Gallery, View
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState
from seer_tf.train.step import watched
from seer_tf.train.summaries import Summaries, crop_sheet
from seer_tf.train.troubles import Guard, Interval, Trouble


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is looked at beside the numbers of every run. Nothing of it changes the run.

    Attributes:
        probe: makes of a model the function that is called every `run.examine_every_steps` and returns what the
            features are worth, by the names of the log; checkpoints are compared by the first.
        json_file: takes the numbers of each interval as one JSON object per line.
        profile_steps: TensorFlow's profiler records from the first to the last of these steps.
    """

    probe: Callable[[SwavModel], Callable[[], Mapping[str, float]]] | None = None
    json_file: pathlib.Path | None = None
    profile_steps: tuple[int, int] | None = None


class RunLog:
    """Shows the progress of a run and writes what is measured.

    Attributes:
        quality: of the features, for the next checkpoint; None before the first interval ends.
        troubles: what the last interval has shown, and the one before it had not.
    """

    def __init__(
        self,
        state: TrainState,
        source: Source,
        directory: RunDirectory,
        crops: tuple[tf.Tensor, ...],
        watching: Watching,
    ) -> None:
        """Opens the log at the step of the state.

        Args:
            state: of the run.
            source: its images.
            directory: of the run.
            crops: the first batch.
            watching: what else is looked at.

        Raises:
            InputError: nothing can be written to the directory.
        """
        self._state, self._run, self._watching = state, state.config.run, watching
        self._tensorboard = str(directory.tensorboard)
        if watching.json_file is not None:
            _end_half_a_line(watching.json_file)
        self._summaries = Summaries(directory.tensorboard, state.config)
        self._step = self._interval_start = int(state.step.numpy())
        self._summaries.pictures(self._step, {"crops": crop_sheet(crops)})
        self._gallery, self._guard = Gallery(source, state.config, state.model), Guard(state.config)
        self._probe = watching.probe(state.model) if watching.probe else None
        self._progress = Progress(self._run.num_steps, "step", "pretraining", done=self._step)
        self._steps: list[dict[str, np.ndarray]] = []
        self._probed: Mapping[str, float] = {}
        self._profiling, self._seconds_logging, self._since = False, 0.0, time.monotonic()
        self.quality: Quality | None = None
        self.troubles: list[Trouble] = []

    def __enter__(self) -> Self:
        """Begins to show progress."""
        self._progress.__enter__()
        self._profile()
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends the line of progress, and the profile."""
        self._progress.__exit__(*error)
        if self._profiling:
            tf.profiler.experimental.stop()

    def add(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        """Takes what the steps up to `step` have returned, float [steps] each; ends the interval where it is due."""
        self._steps.append({name: value.numpy() for name, value in metrics.items()})
        note, self.troubles = "", []
        if step % self._run.log_every_steps == 0 or step == self._run.num_steps:
            note = self._end_interval(step)
        self._progress.advance(step - self._step, note)
        self._step = step
        self._profile()

    def _end_interval(self, step: int) -> str:
        """Measures, writes and judges the interval that ends at `step`, and returns a few words on it."""
        now = time.monotonic()
        steps = {name: np.concatenate([part[name] for part in self._steps]) for name in self._steps[0]}
        numbers = measurements.of_interval(steps, now - self._since, self._state.config)
        numbers["speed/share_of_time_logging"] = self._seconds_logging / (now - self._since + self._seconds_logging)
        view = self._gallery.view()
        numbers |= view.numbers()
        every = self._run.examine_every_steps
        if step // every > self._interval_start // every or step == self._run.num_steps:
            numbers |= self._examine(step, view)
        self._summaries.numbers(step, numbers)
        self._write_json(step, numbers)
        first_bad = measurements.first_bad(steps, self._interval_start, watched(self._state))
        self.troubles = self._guard.look(Interval(self._interval_start, step, numbers, first_bad))
        for trouble in self.troubles:
            logging.warning("step %d: %s", step, trouble)
        measure = next(iter(self._probed), RANK_ME)
        self.quality = Quality(measure, (numbers | dict(self._probed))[measure])
        self._steps, self._interval_start, self._since = [], step, time.monotonic()
        self._seconds_logging = self._since - now
        return self._note(numbers)

    def _examine(self, step: int, view: View) -> Mapping[str, float]:
        """Writes pictures and histograms, and returns what the probe says."""
        weights = self._state.model.trainable_variables
        self._summaries.pictures(
            step,
            {
                "prototypes/images": self._gallery.prototype_sheet(view),
                "neighbours/images": self._gallery.neighbour_sheet(view),
            },
        )
        self._summaries.histograms(
            step,
            {
                "features/values": view.features,
                "features/std_of_channels": view.features.std(axis=0),
                "prototypes/scores": view.scores,
                "prototypes/images_of_each": np.bincount(view.scores.argmax(axis=1), minlength=view.scores.shape[1]),
                "weights/norms": np.array([float(tf.norm(tf.cast(weight, tf.float32))) for weight in weights]),
            },
        )
        self._probed = self._probe() if self._probe else {}
        return self._probed

    def _write_json(self, step: int, numbers: Mapping[str, float]) -> None:
        if self._watching.json_file is not None:
            line = {"step": step, **{name: value if math.isfinite(value) else None for name, value in numbers.items()}}
            with self._watching.json_file.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def _note(self, numbers: Mapping[str, float]) -> str:
        probed = "".join(f", {name.rpartition('/')[2]} {value:.1%}" for name, value in self._probed.items())
        return (
            f"loss {numbers[measurements.LOSS]:.3f} = {numbers[measurements.RELATIVE_LOSS]:.3f} ln K, "
            f"{numbers[measurements.IMAGES_PER_SECOND]:.0f} images/s, {numbers[measurements.WAIT_SHARE]:.0%} waiting "
            f"for data{probed}"
        )

    def _profile(self) -> None:
        """Starts or stops the profiler between two calls of the steps function."""
        first, last = self._watching.profile_steps or (self._run.num_steps, self._run.num_steps)
        wanted = first <= self._step < last
        if wanted and not self._profiling:
            tf.profiler.experimental.start(self._tensorboard)
        elif self._profiling and not wanted:
            tf.profiler.experimental.stop()
        self._profiling = wanted


def _end_half_a_line(file: pathlib.Path) -> None:
    """Makes the file ready for whole lines: a process that was killed while it wrote may have left half of one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.read_bytes()[-1:] not in (b"\n", b""):
        with file.open("a") as lines:
            lines.write("\n")
