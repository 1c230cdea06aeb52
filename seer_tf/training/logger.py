"""The log of every run, by intervals of steps: progress on the terminal, TensorBoard, a JSON file, the profiler."""

import abc
import dataclasses
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Set
from typing import Any, Self

import numpy as np
import tensorflow as tf
from absl import logging

from seer_tf.errors import InputError
from seer_tf.files import jsonl
from seer_tf.progress import Progress
from seer_tf.quantities import percent
from seer_tf.training import metrics as run_metrics
from seer_tf.training import retries
from seer_tf.training.checkpoints import Quality
from seer_tf.training.conclusion import write_conclusion
from seer_tf.training.health import HealthMonitor, Interval, Problem
from seer_tf.training.history import History, Unfinished
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState
from seer_tf.training.step import checked_tensors
from seer_tf.training.tensorboard import Summaries

#: Takes a step and numbers by name.
OnLog = Callable[[int, Mapping[str, float]], object]


@dataclasses.dataclass(frozen=True)
class LogOptions:
    """Optional outputs of a log. None of them changes the run.

    Attributes:
        json_file: File that gets the numbers of each interval as one JSON object per line.
        profile_steps: First and last step that TensorFlow's profiler records.
        on_log: Function that receives the step and the numbers at the end of each interval.
    """

    json_file: pathlib.Path | None = None
    profile_steps: tuple[int, int] | None = None
    on_log: OnLog | None = None


class Logger(abc.ABC):
    """Shows the progress of a run and writes its metrics. Subclasses add the metrics of their task.

    Attributes:
        quality: Quality for the next checkpoint; None if it is unknown.
        problems: Problems that the last interval shows and the interval before it did not show.
    """

    def __init__(
        self,
        state: RunState,
        directory: RunDirectory,
        monitor: HealthMonitor,
        label: str,
        options: LogOptions,
        shares: Set[str] = frozenset(),
    ) -> None:
        """Opens the log at the step of the state.

        Args:
            state: State of the run.
            directory: Run directory.
            monitor: Applies the health checks to each interval.
            label: Label of the progress line.
            options: Optional outputs.
            shares: Names of the task's metrics that are fractions from 0 to 1. They are shown in percent.

        Raises:
            InputError: The directory cannot be written.
        """
        self._state, self._run, self._monitor = state, state.config.run, monitor
        self._json_file, self._profile_steps, self._on_log = options.json_file, options.profile_steps, options.on_log
        self._tensorboard = str(directory.tensorboard)
        if options.json_file is not None:
            _create(options.json_file)
        self._shares = run_metrics.SHARES | shares
        self._summaries = Summaries(directory.tensorboard, state.config)
        self._step = self._interval_start = int(state.step.numpy())
        self._progress = Progress(self._run.num_steps, "step", label, done=self._step)
        self._steps: list[Mapping[str, np.ndarray]] = []
        self._profiling, self._seconds_logging, self._since = False, 0.0, time.monotonic()
        self.quality: Quality | None = None
        self.problems: list[Problem] = []
        self._directory, self._retries = directory, retries.read_retries(directory)
        if self._retries:
            self._summaries.text("retries", retries.summary(self._retries))
        self._history = History(directory.history, self._step) if self._run.on_trouble == "recover" else None
        if self._history is not None:
            self._remember(self._history)

    def __enter__(self) -> Self:
        """Starts the progress line."""
        self._progress.__enter__()
        self._profile()
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends the progress line and the profile."""
        self._progress.__exit__(*error)
        if self._profiling:
            tf.profiler.experimental.stop()

    def add(self, step: int, metrics: Mapping[str, tf.Tensor]) -> None:
        """Adds the metrics of the steps up to `step`, float [steps] for each name; ends the interval if it is due."""
        self._steps.append({name: value.numpy() for name, value in metrics.items()})
        note, self.problems = "", []
        if step % self._run.log_every_steps == 0 or step == self._run.num_steps:
            note = self._end_interval(step)
        self._progress.advance(step - self._step, note)
        self._step = step
        self._profile()

    def keep(self) -> None:
        """Keeps the state of the log for a run that continues from a checkpoint at the present step."""
        if self._history is not None and self._steps:
            seconds = time.monotonic() - self._since
            self._history.keep(self._step, Unfinished(self._interval_start, self._joined_steps(), seconds))

    def remedy(self) -> Problem | None:
        """Returns a problem of the last interval that a new start may solve; None without one or without retries left.

        At the last step there is none: the run is over.
        """
        problem = next((each for each in self.problems if each.changes), None)
        if problem is None or self._step == self._run.num_steps:
            return None
        if len(self._retries) < retries.MOST:
            return problem
        logging.warning("step %d: the run has had %d retries, which is all; it continues", self._step, retries.MOST)
        return None

    def give_up(self, problem: Problem) -> None:
        """Gives up the attempt because of a problem; the run can start again with the changes of the problem.

        Raises:
            InputError: The directory cannot be written.
        """
        retry = retries.give_up(self._directory, self._step, problem)
        logging.warning("retry %d of %d: %s", len(self._retries) + 1, retries.MOST, retry)

    @abc.abstractmethod
    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns the metrics of the interval that ends at `step`, by their names in the log.

        Args:
            step: Number of steps at the end of the interval.
            steps: Float [steps] for each name, the values that the steps returned.
            seconds: Duration of the interval.
        """

    def _conclusion(self, numbers: Mapping[str, float]) -> str:
        """Returns the conclusion of the run from its last metrics; empty if there is none."""
        return ""

    @abc.abstractmethod
    def _note(self, numbers: Mapping[str, float]) -> str:
        """Returns a short description of an interval for the terminal.

        Commas separate its parts, the most important part first. A narrow terminal shows the parts that fit.
        """

    def _speed(self, numbers: Mapping[str, float]) -> str:
        """Returns the last parts of a description: images per second, and the share of time spent waiting for data."""
        speed = f"{numbers[run_metrics.IMAGES_PER_SECOND]:.0f} images/s"
        waiting = numbers[run_metrics.WAIT_SHARE]
        return speed if math.isnan(waiting) else f"{speed}, {percent(waiting, 0)} waiting for data"

    def _end_interval(self, step: int) -> str:
        """Measures, writes and checks the interval that ends at `step`; returns a short description of it."""
        now = time.monotonic()
        steps = self._joined_steps()
        numbers = self._measured(step, steps, now - self._since)
        numbers[run_metrics.LOGGING_SHARE] = self._seconds_logging / (now - self._since + self._seconds_logging)
        numbers[retries.RETRIES] = float(len(self._retries))
        self._summaries.numbers(step, numbers, self._shares)
        self._write_json(step, numbers)
        if self._on_log is not None:
            self._on_log(step, numbers)
        first_bad = run_metrics.first_bad(steps, self._interval_start, checked_tensors(self._state))
        interval = Interval(self._interval_start, step, numbers, first_bad)
        self.problems = self._monitor.check(interval)
        if self._history is not None:
            self._history.add(interval)
        if step == self._run.num_steps and (text := self._conclusion(numbers)):
            self._conclude(text)
        for problem in self.problems:
            logging.warning("step %d: %s", step, problem)
        self._steps, self._interval_start, self._since = [], step, time.monotonic()
        self._seconds_logging = self._since - now
        return self._note(numbers)

    def _conclude(self, text: str) -> None:
        """Logs the conclusion of the complete run, and writes it to its file and to TensorBoard."""
        logging.info("%s", text)
        write_conclusion(self._directory, text)
        self._summaries.text("conclusion", text)

    def _joined_steps(self) -> dict[str, np.ndarray]:
        """Returns the values of all steps of the present interval, float [steps] for each name."""
        return {name: np.concatenate([part[name] for part in self._steps]) for name in self._steps[0]}

    def _remember(self, history: History) -> None:
        """Restores the health checks and the present interval to their states at this step."""
        for interval in history.intervals:
            self._monitor.check(interval)
        if history.unfinished is not None:
            self._steps, self._interval_start = [history.unfinished.steps], history.unfinished.first_step
            self._since -= history.unfinished.seconds

    def _diagnostics_are_due(self, step: int) -> bool:
        """Whether the expensive diagnostics are due in the interval that ends at `step`."""
        every = self._run.examine_every_steps
        return step // every > self._interval_start // every or step == self._run.num_steps

    def _write_json(self, step: int, numbers: Mapping[str, float]) -> None:
        if self._json_file is not None:
            line = {"step": step, **{name: value if math.isfinite(value) else None for name, value in numbers.items()}}
            try:
                jsonl.append_line(self._json_file, json.dumps(line))
            except OSError as error:
                raise _unwritable(self._json_file, error) from None

    def _profile(self) -> None:
        """Starts or stops the profiler between two calls of the steps function."""
        first, last = self._profile_steps or (math.inf, -math.inf)
        wanted = first < self._step + self._run.steps_per_call and self._step < last
        if wanted and not self._profiling:
            tf.profiler.experimental.start(self._tensorboard)
        elif self._profiling and not wanted:
            tf.profiler.experimental.stop()
        self._profiling = wanted


def _create(file: pathlib.Path) -> None:
    """Creates the file if it is missing, so that a file that cannot be written is noticed before training."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("a").close()
    except OSError as error:
        raise _unwritable(file, error) from None


def _unwritable(file: pathlib.Path, error: OSError) -> InputError:
    return InputError(
        f"`log_json={file}` cannot be written ({error.strerror}); fix that or name another file, then the same "
        "command continues from the newest checkpoint"
    )
