"""What ends a run early: a signal, which is a wish, and a worker that is lost."""

import contextlib
import re
import signal
import types
from collections.abc import Iterator
from typing import Any, Self

import tensorflow as tf

from seer_tf.cluster import Cluster
from seer_tf.errors import LostWorkerError

_CLUSTER_BROKEN = ("Collective ops is aborted", "CoordinationService")


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


@contextlib.contextmanager
def lost_workers_named(cluster: Cluster | None) -> Iterator[None]:
    """Turns what TensorFlow says when the others wait for a worker in vain into one sentence.

    The workers send heartbeats to TensorFlow's coordination service, which runs in the chief and tells of one that has
    sent none for ten seconds; a connection that breaks is noticed at once. Either ends the collectives under way.

    Args:
        cluster: the workers; with None nothing happens.

    Raises:
        LostWorkerError: in place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if cluster is None or not any(mark in str(error) for mark in _CLUSTER_BROKEN):
            raise
        named = {int(number) for number in re.findall(r"/task:(\d+)", str(error))} - {cluster.index}
        lost = [cluster.name(index) for index in sorted(named or {0} - {cluster.index})]  # unnamed it is the chief
        raise LostWorkerError(
            f"{' and '.join(lost) or 'another worker'} no longer answers, so {cluster.name(cluster.index)} stops too; "
            "start all workers again, and they continue from the newest checkpoint"
        ) from None
