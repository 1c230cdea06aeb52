"""What ends a run early: a signal, which is a wish, and a number that is not finite, which is a fault."""

import signal
import types
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from seer_tf.errors import InputError


class StopSignals:
    """Remembers that Ctrl-C or SIGTERM came, so that the loop can end between two steps and save.

    The second one is not held back: it ends the process at once.
    """

    def __init__(self) -> None:
        """Starts with no signal seen."""
        self.received: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        """Takes the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives them back."""
        self._give_back()

    def _remember(self, number: int, _: types.FrameType | None) -> None:
        self.received = signal.Signals(number).name
        self._give_back()

    def _give_back(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)


def check_finite(first_bad: np.ndarray, first_step: int, names: Sequence[str]) -> None:
    """Raises where a step met a number that is not finite.

    Args:
        first_bad: float [steps], the index of the first such tensor of each step, -1 for none.
        first_step: number of the first of these steps.
        names: of the tensors.

    Raises:
        InputError: naming step and tensor.
    """
    bad = np.flatnonzero(first_bad >= 0)
    if bad.size:
        step, name = first_step + int(bad[0]), names[int(first_bad[bad[0]])]
        raise InputError(
            f"at step {step} {name} is not finite; that update was left out and nothing after it is saved: lower "
            "schedule.peak_learning_rate, or raise schedule.warmup_steps or swav.epsilon, and start again"
        )
