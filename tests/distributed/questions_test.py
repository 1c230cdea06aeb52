"""A worker that is stopped leaves questions unanswered; one that has never answered does not count."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from seer_tf.distributed import questions
from seer_tf.distributed.questions import Questions, answers
from tests.two_processes import started_workers

#: A worker that traces a graph without end, so that it enters no collective again.
_TRACING = """
import tensorflow as tf
from seer_tf.distributed.cluster import find_cluster
from seer_tf.distributed.rendezvous import rendezvous
from seer_tf.distributed.strategy import make_strategy, place
from seer_tf.distributed.watch import Watch

@tf.function(autograph=False)
def traced(x):
    print("tracing", flush=True)
    while True:
        x = x + 1

cluster = find_cluster()
watch = Watch(cluster)
with rendezvous(cluster, timeout_seconds=100, watch=watch):
    pass
with watch.watching():
    make_strategy(place("multi_worker", None, cluster, num_gpus=0))
    traced(tf.zeros([]))
"""
_SECONDS_UNTIL_STOPPED = 30


def _asked(monkeypatch: pytest.MonkeyPatch, replies: Callable[[int, int], bool], rounds: int) -> list[int | None]:
    """Returns what each round of questions to the workers 1 and 2 finds."""
    monkeypatch.setattr(questions, "_SECONDS_BETWEEN_ROUNDS", 0)
    now = 0
    asked = Questions(lambda index: replies(index, now))
    found = []
    for now in range(rounds):  # noqa: B007 (the function above reads it)
        found.append(asked.silent([1, 2]))
    return found


def test_a_worker_is_silent_after_four_unanswered_questions_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _asked(monkeypatch, lambda index, now: index == 1 or now < 2, 6) == [None] * 5 + [2]
    assert _asked(monkeypatch, lambda index, now: now % 4 == 0, 20) == [None] * 20


def test_a_worker_that_has_never_answered_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _asked(monkeypatch, lambda index, now: index == 1, 20) == [None] * 20


def test_a_round_takes_place_once_a_second_at_most() -> None:
    asked: list[int] = []

    def ask(index: int) -> bool:
        asked.append(index)
        return True

    few = Questions(ask)
    for _ in range(10):
        few.silent([1])
    assert asked == [1]


def test_nobody_answers_before_tensorflow_has_started() -> None:
    assert not answers(1)


@pytest.mark.slow
@pytest.mark.two_process
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_stopped_while_the_other_traces_a_graph_ends_the_other(
    tmp_path: pathlib.Path, victim: int
) -> None:
    with started_workers(_TRACING, tmp_path) as workers:
        _wait_for_both(tmp_path, workers)
        time.sleep(3)  # a worker must have answered once
        workers[victim].send_signal(signal.SIGSTOP)
        started = time.monotonic()
        assert workers[1 - victim].wait(60) == os.EX_TEMPFAIL
        assert time.monotonic() - started < _SECONDS_UNTIL_STOPPED
    (*_, said) = (tmp_path / f"{1 - victim}.err").read_text().splitlines()
    assert said.startswith(f"error: worker {victim} (localhost:") and "no longer answers" in said


def _wait_for_both(folder: pathlib.Path, workers: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 120
    while not all("tracing" in (folder / f"{index}.out").read_text() for index in range(2)):
        assert time.monotonic() < deadline and [worker.poll() for worker in workers] == [None, None]
        time.sleep(0.1)
