"""Events that end a run early."""

import pytest
import tensorflow as tf

from seer_tf.distributed.cluster import Cluster
from seer_tf.errors import InputError, LostWorkerError
from seer_tf.training.preemption import Agreement, exhausted_memory_named, lost_workers_named


@pytest.mark.slow
def test_too_little_memory_gets_one_sentence() -> None:
    with pytest.raises(InputError, match="too little memory .*allocating tensor.*; raise run.accumulation_steps"):
        with exhausted_memory_named():
            tf.zeros([1 << 20, 1 << 20, 100])


def test_a_failure_is_raised_only_when_all_workers_agree() -> None:
    agreement = Agreement(tf.distribute.get_strategy())
    assert [agreement.reached(wish=wish) for wish in (False, True)] == [False, True]
    for reason in ("the disk is full", "something else"):
        with agreement.failure_held():
            raise InputError(reason)
    with pytest.raises(InputError, match="the disk is full"):
        agreement.reached(wish=True)


def test_a_lost_worker_is_named() -> None:
    cluster = Cluster(("a:1", "b:2", "c:3"), 2)
    for text, name in (
        ("Collective ops is aborted by: unhealthy: /job:worker/replica:0/task:1", r"worker 1 \(b:2\)"),
        (
            "Collective ops is aborted by: Deadline\n\nRPC: /tensorflow.CoordinationService/Heartbeat",
            r"worker 0 \(a:1\)",
        ),
    ):
        with pytest.raises(LostWorkerError, match=rf"{name} no longer answers, so worker 2 \(c:3\) stops too"):
            with lost_workers_named(cluster):
                raise tf.errors.UnavailableError(None, None, text)


def test_other_errors_are_raised_unchanged() -> None:
    for cluster in (None, Cluster(("a:1", "b:2"), 0)):
        with pytest.raises(tf.errors.InvalidArgumentError), lost_workers_named(cluster):
            raise tf.errors.InvalidArgumentError(None, None, "the shapes of /job:worker/task:1 differ")
