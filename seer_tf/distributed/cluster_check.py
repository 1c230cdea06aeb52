"""Checks, within a stated time, whether the workers of a cluster reach one another and how fast they are.

A collective that waits in vain for a worker cannot be stopped from inside. So it runs in a separate process, which an
alarm ends. Before and after it the workers communicate over plain TCP (`rendezvous.py`).
"""

import contextlib
import dataclasses
import functools
import math
import multiprocessing
import multiprocessing.connection
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.rendezvous import exchange, unreachable
from seer_tf.distributed.strategy import Placement, make_strategy
from seer_tf.errors import InputError

SMALL_BYTES = 1024
SLOW_FACTOR = 2.0  # a worker that takes more than this multiple of the median is slow
_LINK_BYTES = 32_000_000
_MATRIX_SIDE = 1024
_REPETITIONS = 5


@dataclasses.dataclass(frozen=True)
class Timings:
    """Times that one worker measured, in seconds.

    Attributes:
        link: Time to send 32 MB to the next worker while all workers send; infinite if sending failed.
        compute: Time for a product of two float32 matrices [1024, 1024], on the slowest device.
        small: Time for an all-reduce of 1 KB.
        gradient: Time for an all-reduce as large as the gradients.
    """

    link: float
    compute: float
    small: float
    gradient: float


def check_cluster(placement: Placement, *, gradient_bytes: int, timeout_seconds: float) -> list[Timings]:
    """Returns the timings of all workers. Each worker calls this function after a rendezvous.

    Args:
        placement: Devices and workers.
        gradient_bytes: Size of the large all-reduce.
        timeout_seconds: Timeout of each of the three parts: connecting, sending, and the collectives.

    Raises:
        InputError: A worker cannot reach another worker, or a collective does not return. Every worker raises it.
    """
    cluster = placement.cluster
    assert cluster is not None
    _check_reachable(cluster, timeout_seconds)
    link = _seconds_to_next(cluster, timeout_seconds)
    measured = _in_limited_time(placement, gradient_bytes, timeout_seconds)
    answers = exchange(cluster, measured and {"link": link, **measured}, timeout_seconds=timeout_seconds)
    failed = [cluster.name(index) for index, answer in enumerate(answers) if answer is None]
    if failed:
        raise InputError(
            f"an all-reduce failed or did not return within {timeout_seconds:g} s on {' and '.join(failed)}, although "
            "all workers can connect to each other; look at the output of these workers"
        )
    return [Timings(**answer) for answer in answers]


def slow_workers(cluster: Cluster, timings: Sequence[Timings]) -> list[str]:
    """Returns a phrase for each worker that takes more than twice as long as the median, or whose link failed."""
    texts = []
    for measured, what in (("compute", "computing"), ("link", "sending to the next worker")):
        seconds = [getattr(each, measured) for each in timings]
        worked = [each for each in seconds if each < math.inf]  # otherwise the median may be a failure
        median = statistics.median_low(worked or [math.inf])
        for index, each in enumerate(seconds):
            if each == math.inf:
                texts.append(f"{cluster.name(index)} in {what} (it failed)")
            elif each > SLOW_FACTOR * median:
                texts.append(
                    f"{cluster.name(index)} in {what} ({1000 * each:.3g} ms, the median is {1000 * median:.3g} ms)"
                )
    return texts


def _check_reachable(cluster: Cluster, timeout_seconds: float) -> None:
    def look() -> list[int]:
        return unreachable(cluster, timeout_seconds=timeout_seconds / 2)  # the rest of the time is for the answers

    for index, lost in enumerate(exchange(cluster, look, timeout_seconds=timeout_seconds)):
        if lost:
            names = " and ".join(cluster.name(other) for other in lost)
            raise InputError(f"{names} cannot be reached from {cluster.name(index)}; look at the network between them")


def _seconds_to_next(cluster: Cluster, timeout_seconds: float) -> float:
    """Returns the time to send 32 MB to the next worker while the previous worker sends to this one, or infinity."""
    following = (cluster.index + 1) % len(cluster.workers)
    host = cluster.workers[following].rpartition(":")[0]
    with socket.create_server(("", 0)) as listener:
        listener.settimeout(timeout_seconds)
        ports = exchange(cluster, listener.getsockname()[1], timeout_seconds=timeout_seconds)
        receiver = threading.Thread(target=_receive, args=(listener, timeout_seconds))
        receiver.start()
        seconds, started = math.inf, time.monotonic()
        with contextlib.suppress(OSError), socket.create_connection((host, ports[following]), timeout_seconds) as link:
            link.sendall(bytes(_LINK_BYTES))
            if link.recv(1):  # all bytes have arrived
                seconds = time.monotonic() - started
        receiver.join()
    return seconds


def _receive(listener: socket.socket, timeout_seconds: float) -> None:
    with contextlib.suppress(OSError), listener.accept()[0] as link:
        link.settimeout(timeout_seconds)
        left = _LINK_BYTES
        while left and (part := link.recv(1 << 20)):
            left -= len(part)
        link.sendall(b"!")


def _in_limited_time(placement: Placement, gradient_bytes: int, timeout_seconds: float) -> dict[str, float] | None:
    """Returns the times that a separate process measures; None if the process fails or takes too long."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_measure, args=(placement, gradient_bytes, timeout_seconds, sender))
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return None
    finally:
        child.join()


def _measure(
    placement: Placement,
    gradient_bytes: int,
    timeout_seconds: float,
    sender: multiprocessing.connection.Connection,
) -> None:
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds)  # ends the process even while it waits
    strategy = make_strategy(placement)

    @tf.function
    def all_reduce(num_bytes: int) -> tf.Tensor:
        def of_replica() -> tf.Tensor:
            return collectives.all_reduce(tf.ones([num_bytes // 4]))

        return strategy.experimental_local_results(strategy.run(of_replica))[0][0]

    compute = [_seconds(functools.partial(_compute, device)) for device in strategy.extended.worker_devices]
    small = _seconds(lambda: all_reduce(SMALL_BYTES))
    gradient = _seconds(lambda: all_reduce(gradient_bytes))
    sender.send({"compute": max(compute), "small": small, "gradient": gradient})


def _compute(device: str) -> tf.Tensor:
    with tf.device(device):
        matrix = tf.ones([_MATRIX_SIDE, _MATRIX_SIDE])
        return tf.linalg.matmul(matrix, matrix)[0, 0]


def _seconds(work: Callable[[], tf.Tensor]) -> float:
    """Returns the shortest of several times, without the first. The result is fetched to make sure it is computed."""
    times = []
    for _ in range(_REPETITIONS + 1):
        started = time.monotonic()
        work().numpy()
        times.append(time.monotonic() - started)
    return min(times[1:])
