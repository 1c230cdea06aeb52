"""What ends a run early: the wish of a worker, memory that is too small, a worker that fails or is lost."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.distributed.cluster import Cluster
from seer_tf.errors import InputError, LostWorkerError

_CLUSTER_BROKEN = ("Collective ops is aborted", "CoordinationService")


class Agreement:
    """What all workers decide together: to stop as soon as one of them wishes it, to fail as soon as one of them has.

    Where one alone raised, the others would wait for it until they take it for lost, and ask to be started again.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Prepares it; every worker makes its own, and calls `reached` as often as the others."""
        self._failure: InputError | None = None

        def of_replica(wishes: tf.Tensor) -> tf.Tensor:
            return collectives.all_reduce(tf.identity(wishes))  # the copy lies on the replica's device

        @tf.function
        def total(wishes: tf.Tensor) -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(of_replica, args=(wishes,)))[0]

        self._total = total

    @contextlib.contextmanager
    def failure_held(self) -> Iterator[None]:
        """Keeps an `InputError` of what only this worker does back until the next agreement."""
        try:
            yield
        except InputError as error:
            self._failure = self._failure or error

    def reached(self, *, wish: bool) -> bool:
        """Whether any worker wishes to stop.

        Raises:
            InputError: a worker has failed: its own error there, and one that says so on the others.
        """
        wishes, failures = self._total(tf.constant([float(wish), float(self._failure is not None)])).numpy()
        if self._failure is not None:
            raise self._failure
        if failures:
            raise InputError("another worker has stopped; its own last line says what is wrong there")
        return bool(wishes)


@contextlib.contextmanager
def exhausted_memory_named() -> Iterator[None]:
    """Turns what TensorFlow says of memory that it cannot get into one sentence with the remedies.

    Raises:
        InputError: in place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        reason = error.message.partition("\n")[0].partition(" [Op:")[0]
        raise InputError(
            f"a device has too little memory ({reason}); raise run.accumulation_steps, set "
            "backbone.activation_checkpointing=block or lower data.global_batch_size; plan_run.py says what "
            "a config needs"
        ) from None


@contextlib.contextmanager
def lost_workers_named(cluster: Cluster | None) -> Iterator[None]:
    """Turns what TensorFlow says when the others wait for a worker in vain into one sentence.

    The workers send heartbeats to TensorFlow's coordination service, which runs in the chief and tells of one that has
    sent none for ten seconds; a connection that breaks is noticed at once. Either ends the collectives under way.

    Args:
        cluster: The workers; with None nothing happens.

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
