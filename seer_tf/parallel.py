"""Parallel work on all cores of this machine; the order of the results does not depend on the number of cores."""

import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import joblib

from seer_tf import gpu
from seer_tf.errors import InputError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD_PER_THREAD = 4
#: Least count of numbers for each process. Starting a process takes seconds, because it imports TensorFlow.
_NUMBERS_PER_PROCESS = 4


def num_cores() -> int:
    """Returns the number of cores that this process may use, by its CPU affinity and by the quota of its container."""
    return joblib.cpu_count()


def host_gib() -> float:
    """Returns the memory of this machine in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


class Job(Protocol):
    """Writes one file per number. A job is sent to other processes and machines, so pickle must support it."""

    def path(self, number: int) -> str:
        """Returns the path of the file with this number."""

    def __call__(self, number: int, num_threads: int = 1) -> None:
        """Writes the file with this number in `num_threads` threads. The file gets its name last."""


#: Runs a job for each number, on one or several machines, and yields each number when its file is done, in any order.
Runner = Callable[[Job, Sequence[int]], Iterable[int]]


class LocalRunner:
    """Runs a job on this machine: in several processes for many numbers, in threads for few numbers."""

    def __init__(self, num_workers: int) -> None:
        """Creates the runner.

        Args:
            num_workers: Number of images that are processed at the same time.
        """
        self._num_workers = num_workers

    def __call__(self, job: Job, numbers: Sequence[int]) -> Iterator[int]:
        """Runs the job for each number, and yields the number when its file is done.

        Raises:
            InputError: A worker process was killed.
        """
        num_processes = min(self._num_workers, len(numbers) // _NUMBERS_PER_PROCESS)
        if num_processes < 2:
            for number in numbers:
                job(number, self._num_workers)
                yield number
            return
        num_threads = -(-self._num_workers // num_processes)
        # Spawned, because a forked child would lack the threads of TensorFlow.
        context = multiprocessing.get_context("spawn")
        with _signals_of_terminal_blocked():  # also in the process that keeps the pool's semaphores
            pool = concurrent.futures.ProcessPoolExecutor(num_processes, context, initializer=_keep, initargs=(job,))
        try:
            with _signals_of_terminal_blocked(), _environment(gpu.HIDDEN):
                futures = {pool.submit(_do, number, num_threads): number for number in numbers}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except concurrent.futures.process.BrokenProcessPool:
            raise InputError(
                "a worker process was killed, most often for lack of memory; run the same command again with fewer "
                "`jobs`, and it continues from there."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _signals_of_terminal_blocked() -> Iterator[None]:
    """Blocks the terminal's signals in the processes that start here. These processes end with their parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables of the processes that start here."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update({name: before[name] for name in variables if name in before})


_kept: list[Job] = []


def _keep(job: Job) -> None:
    """Receives the job once, when a worker process starts."""
    _kept.append(job)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when its parent was killed; otherwise it would still write files when the next run starts."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(number: int, num_threads: int) -> None:
    _kept[-1](number, num_threads)


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], num_threads: int) -> Iterator[_Result]:
    """Yields the results of a function in the order of the items.

    Only a few items are processed ahead, so memory does not grow with the number of items.

    Args:
        function: Function of one item, called in several threads.
        items: Items; they are read one by one.
        num_threads: Number of threads.
    """
    coming = iter(items)
    ahead: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        try:
            ahead.extend(
                pool.submit(function, item) for item in itertools.islice(coming, _AHEAD_PER_THREAD * num_threads)
            )
            while ahead:
                yield ahead.popleft().result()
                ahead.extend(pool.submit(function, item) for item in itertools.islice(coming, 1))
        finally:
            for future in ahead:
                future.cancel()
