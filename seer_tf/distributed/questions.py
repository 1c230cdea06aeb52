"""Asks other workers whether their process still runs; one that is stopped keeps its connections but does not answer.

TensorFlow's threads answer, whatever the interpreter of the asked worker is doing.
"""

import time
from collections.abc import Callable, Iterable

import tensorflow as tf
from tensorflow.python.eager import context

_SECONDS_FOR_AN_ANSWER, _SECONDS_BETWEEN_ROUNDS, _MOST_UNANSWERED = 2.0, 1.0, 4


def answers(index: int) -> bool:
    """Returns whether a worker answers within two seconds; False as long as TensorFlow has not started here.

    Args:
        index: Number of the worker.
    """
    task = f"/job:worker/replica:0/task:{index}"
    try:
        context.context().check_collective_ops_peer_health(task, timeout_in_ms=int(1000 * _SECONDS_FOR_AN_ANSWER))
    except (tf.errors.OpError, ValueError):
        return False
    return True


class Questions:
    """Counts the questions that workers leave unanswered."""

    def __init__(self, ask: Callable[[int], bool] = answers) -> None:
        """Starts with workers that have never answered.

        Args:
            ask: Function that asks the worker of a number.
        """
        self._ask = ask
        self._unanswered: dict[int, int] = {}
        self._next_round = 0.0

    def silent(self, workers: Iterable[int]) -> int | None:
        """Asks workers, at most once a second.

        Args:
            workers: Their numbers.

        Returns:
            The number of a worker that has left four questions in a row unanswered, which takes up to 12 seconds; None
            if there is none. A worker that has never answered does not count, as TensorFlow may not have started there.
        """
        if time.monotonic() < self._next_round:
            return None
        for index in workers:
            if self._ask(index):
                self._unanswered[index] = 0
            elif index in self._unanswered:
                self._unanswered[index] += 1
        self._next_round = time.monotonic() + _SECONDS_BETWEEN_ROUNDS
        return next((index for index, count in self._unanswered.items() if count >= _MOST_UNANSWERED), None)
