"""History: the numbers of a run that its health checks have seen, in the run directory.

A run that is continued from a checkpoint is then judged as if it had never stopped. The file `history.jsonl` has a line
for each interval of the log, and for each checkpoint within an interval the steps of that interval so far.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from absl import logging

from seer_tf.errors import InputError
from seer_tf.files import jsonl, sealed_json
from seer_tf.files.atomic import write_atomically
from seer_tf.training.health import Interval


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """An interval of the log that is not complete.

    Attributes:
        first_step: Number of steps made before the interval.
        steps: Values of its steps so far, float32 [steps] for each name.
        seconds: Duration of these steps, in seconds.
    """

    first_step: int
    steps: Mapping[str, np.ndarray]
    seconds: float


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line of the file: a complete interval has numbers, and one that a checkpoint interrupted has steps."""

    step: int
    first_step: int
    numbers: dict[str, Any] | None = None
    first_bad: tuple[int, str] | None = None
    steps: dict[str, tuple[Any, ...]] | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        """Checks values that were read from a file. Their numbers need not be finite."""
        values = [*(self.numbers or {}).values(), *itertools.chain.from_iterable((self.steps or {}).values())]
        if not all(type(value) in (float, int) for value in values):
            raise ValueError("its numbers are something else")

    @property
    def interval(self) -> Interval | None:
        """Returns the complete interval; None for another line."""
        return None if self.numbers is None else Interval(self.first_step, self.step, self.numbers, self.first_bad)

    @property
    def unfinished(self) -> Unfinished | None:
        """Returns the interval that is not complete; None for another line."""
        if self.steps is None:
            return None
        steps = {name: np.array(each, np.float32) for name, each in self.steps.items()}
        return Unfinished(self.first_step, steps, self.seconds)


class History:
    """The intervals of a run up to its present step.

    Attributes:
        intervals: Complete intervals, in order.
        unfinished: The interval that the checkpoint interrupted; None if the checkpoint ended an interval.
    """

    def __init__(self, file: pathlib.Path, step: int) -> None:
        """Reads the lines up to a step, and removes later ones, which the run will write again.

        Args:
            file: File of the history; it need not exist.
            step: Step of the checkpoint from which the run continues; 0 for a new attempt.

        Raises:
            InputError: The file cannot be read or written.
        """
        self._file = file
        lines = [line for line in self._lines() if line.step <= step]
        self.intervals = [line.interval for line in lines if line.interval is not None]
        rest = [line.unfinished for line in lines if line.step == step and line.unfinished is not None]
        self.unfinished = rest[-1] if rest else None
        self._write("".join(sealed_json.line(dataclasses.asdict(line)) + "\n" for line in lines))

    def add(self, interval: Interval) -> None:
        """Adds an interval.

        Raises:
            InputError: The file cannot be written.
        """
        numbers = dict(interval.numbers)
        self._append(_Line(interval.step, interval.first_step, numbers, interval.first_bad))

    def keep(self, step: int, unfinished: Unfinished) -> None:
        """Keeps an interval that is not complete, for a run that continues at this step.

        Raises:
            InputError: The file cannot be written.
        """
        steps = {name: tuple(each.tolist()) for name, each in unfinished.steps.items()}
        self._append(_Line(step, unfinished.first_step, steps=steps, seconds=unfinished.seconds))

    def _lines(self) -> Iterator[_Line]:
        """Yields the lines that are whole; a warning names the others, whose intervals no check sees."""
        try:
            for number, values in jsonl.numbered(self._file):
                try:
                    yield sealed_json.typed(values, _Line, "the line")
                except sealed_json.DamagedJsonError:
                    logging.warning("%s: line %d is damaged, so no check sees its steps", self._file, number)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._unusable(error) from None

    def _append(self, line: _Line) -> None:
        try:
            jsonl.append_sealed(self._file, dataclasses.asdict(line))
        except OSError as error:
            raise self._unusable(error) from None

    def _write(self, text: str) -> None:
        try:
            write_atomically(self._file, text)
        except OSError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: OSError) -> InputError:
        return InputError(
            f"{self._file} cannot be read and written ({error.strerror}); make room or give permission, then the same "
            "command continues from the newest checkpoint"
        )
