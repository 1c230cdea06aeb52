"""History: the numbers of a run that its health checks have seen, in the run directory.

A run that is continued from a checkpoint is then judged as if it had never stopped. The file `history.jsonl` has a line
for each interval of the log, and for each checkpoint within an interval the steps of that interval so far.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from seer_tf.errors import InputError
from seer_tf.files import jsonl
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
        lines = [line for line in self._lines() if line["step"] <= step]
        self.intervals = [_interval(line) for line in lines if "numbers" in line]
        rest = [_unfinished(line) for line in lines if "steps" in line and line["step"] == step]
        self.unfinished = rest[-1] if rest else None
        self._write("".join(json.dumps(line) + "\n" for line in lines))

    def add(self, interval: Interval) -> None:
        """Adds an interval.

        Raises:
            InputError: The file cannot be written.
        """
        self._append(
            {
                "step": interval.step,
                "first_step": interval.first_step,
                "numbers": dict(interval.numbers),
                "first_bad": interval.first_bad,
            }
        )

    def keep(self, step: int, unfinished: "Unfinished") -> None:
        """Keeps an interval that is not complete, for a run that continues at this step.

        Raises:
            InputError: The file cannot be written.
        """
        values = {name: each.tolist() for name, each in unfinished.steps.items()}
        self._append({"step": step, **vars(unfinished), "steps": values})

    def _lines(self) -> list[dict[str, Any]]:
        try:
            return list(jsonl.read_complete(self._file))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from None

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            jsonl.append_line(self._file, json.dumps(line))
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


def _unfinished(line: Mapping[str, Any]) -> Unfinished:
    steps = {name: np.array(each, np.float32) for name, each in line["steps"].items()}
    return Unfinished(line["first_step"], steps, line["seconds"])


def _interval(line: Mapping[str, Any]) -> Interval:
    first_bad = line["first_bad"]
    return Interval(line["first_step"], line["step"], line["numbers"], first_bad and tuple(first_bad))
