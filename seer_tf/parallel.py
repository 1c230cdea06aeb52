"""Work on all cores of this machine, in an order that does not depend on how many there are."""

import collections
import concurrent.futures
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from seer_tf.errors import InputError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD_PER_THREAD = 4
#: To start a process takes seconds, TensorFlow being imported, so each must have some tasks to do.
_TASKS_PER_PROCESS = 4


def num_cores() -> int:
    """Returns how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


class Job(Protocol):
    """Makes a file for a number; it goes to other processes and machines, so it holds nothing that cannot."""

    def path(self, number: int) -> str:
        """Returns where the file lies."""

    def __call__(self, number: int, num_threads: int = 1) -> None:
        """Makes the file with so many threads; it gets its name last."""


#: Does a task for each of some numbers, on one machine or many, and yields the numbers as they are done, in any order.
Runner = Callable[[Job, Sequence[int]], Iterable[int]]


class LocalRunner:
    """Processes where there are many tasks, threads where there are few."""

    def __init__(self, num_workers: int) -> None:
        """`num_workers` is how many images are worked on at the same time."""
        self._num_workers = num_workers

    def __call__(self, task: Job, numbers: Sequence[int]) -> Iterator[int]:
        """Does the task of each number, and yields it then."""
        num_processes = min(self._num_workers, len(numbers) // _TASKS_PER_PROCESS)
        if num_processes < 2:
            for number in numbers:
                task(number, self._num_workers)
                yield number
            return
        num_threads = -(-self._num_workers // num_processes)
        # Not forked: TensorFlow's threads would not be there in the child.
        context = multiprocessing.get_context("spawn")
        pool = concurrent.futures.ProcessPoolExecutor(num_processes, context, initializer=_keep, initargs=(task,))
        try:
            futures = {pool.submit(_do, number, num_threads): number for number in numbers}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield futures[future]
        except concurrent.futures.process.BrokenProcessPool:
            raise InputError(
                "a worker process was ended from outside, most often for lack of memory; run it again, it goes on from "
                "there, with fewer --workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_kept: list[Job] = []


def _keep(task: Job) -> None:
    """Receives the task once, when a process starts."""
    _kept.append(task)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it was killed: the next run would find it writing its files."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(number: int, num_threads: int) -> None:
    _kept[-1](number, num_threads)


def in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], num_threads: int) -> Iterator[_Result]:
    """Yields the results of a function in the order of the items.

    A few items are worked on ahead, so that memory does not grow with their number.
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
