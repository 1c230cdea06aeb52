"""What ends a run early: a signal to a worker, too little memory, a worker that fails or is lost."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.watch import lost_sentence
from seer_tf.errors import InputError, LostWorkerError

_CLUSTER_BROKEN = ("Collective ops is aborted", "CoordinationService")


class Agreement:
    """A decision that all workers make together: to stop as soon as one wishes to, to fail as soon as one has failed.

    If one worker raised its error alone, the others would wait for that worker until they take it for lost, and then
    ask the user to start them again.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Prepares the agreement. Every worker creates one and calls `reached` as often as the other workers do.

        Args:
            strategy: Strategy over the devices of all workers.
        """
        self._failure: InputError | None = None

        def of_replica(wishes: tf.Tensor) -> tf.Tensor:
            return collectives.all_reduce(tf.identity(wishes))  # the copy lies on the replica's device

        @tf.function
        def total(wishes: tf.Tensor) -> tf.Tensor:
            return strategy.experimental_local_results(strategy.run(of_replica, args=(wishes,)))[0]

        self._total = total

    @contextlib.contextmanager
    def failure_held(self) -> Iterator[None]:
        """Holds back an `InputError` from work that only this worker does, until the next call of `reached`."""
        try:
            yield
        except InputError as error:
            self._failure = self._failure or error

    def reached(self, *, wish: bool) -> bool:
        """Returns whether any worker wishes to stop.

        Args:
            wish: Whether this worker wishes to stop.

        Raises:
            InputError: A worker has failed. That worker raises its own error; the others say that another one stopped.
        """
        wishes, failures = self._total(tf.constant([float(wish), float(self._failure is not None)])).numpy()
        if self._failure is not None:
            raise self._failure
        if failures:
            raise InputError("another worker has stopped; the last line of its own output says why")
        return bool(wishes)


@contextlib.contextmanager
def exhausted_memory_named() -> Iterator[None]:
    """Replaces TensorFlow's error about exhausted memory with one sentence that names the remedies.

    Raises:
        InputError: A device has too little memory.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        reason = error.message.partition("\n")[0].partition(" [Op:")[0]
        raise InputError(
            f"a device has too little memory ({reason}); raise run.accumulation_steps, set "
            "backbone.activation_checkpointing=block or lower data.global_batch_size; plan_run.py says how much memory "
            "a config needs"
        ) from None


@contextlib.contextmanager
def lost_workers_named(cluster: Cluster | None) -> Iterator[None]:
    """Replaces TensorFlow's error about a worker that no longer answers with one sentence.

    Workers send heartbeats to TensorFlow's coordination service, which runs in the chief. The service reports a worker
    that has sent no heartbeat for ten seconds. It notices a broken connection at once. In both cases the collectives
    under way fail. `distributed/watch.py` ends a worker that is in no collective.

    Args:
        cluster: The workers; None for a run without a cluster, whose errors stay as they are.

    Raises:
        LostWorkerError: A worker no longer answers.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if cluster is None or not any(mark in str(error) for mark in _CLUSTER_BROKEN):
            raise
        named = {int(number) for number in re.findall(r"/task:(\d+)", str(error))} - {cluster.index}
        # TensorFlow names no worker if the chief is lost.
        raise LostWorkerError(lost_sentence(cluster, sorted(named or {0} - {cluster.index}))) from None
