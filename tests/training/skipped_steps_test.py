"""Skipped steps: all replicas skip the same steps, no bit changes, and too many skipped steps stop the run."""

import json
from typing import Any

import numpy as np
import pytest

from seer_tf.errors import InputError
from seer_tf.training.skipped_steps import check_skipped
from tests.overflows import EVENTS, step_through
from tests.replicas import two_replicas
from tests.two_processes import run_two_processes

_WORKER = """
import json
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
from tests.overflows import step_through
print(json.dumps(step_through(strategy)))
"""
_COUNTERS = {"loss_scale/value", "loss_scale/good_steps", "skipped_steps/total", "skipped_steps/in_a_row"}


def check(reports: list[dict[str, Any]]) -> None:
    for event, report in zip(EVENTS, reports, strict=True):
        changed = set(report["changed"])
        assert bool(report["bad"]) == (event != "nothing"), report
        assert report["equal"], event
        if event == "nothing":
            assert {"model/head/prototypes", "model/bn/moving_mean", "queue/embeddings", "lars/iterations"} <= changed
        else:
            assert changed <= _COUNTERS, event
    assert [report["skipped"] for report in reports] == [[0, 0], [1, 1], [1, 0], [2, 1], [2, 0], [3, 1], [3, 0]]
    assert [report["loss_scale"] for report in reports] == [2.0**n for n in (10, 9, 10, 9, 10, 39, 10)]
    assert reports[1]["bad"] == "bn/moving_mean", "the infinite pixel is first found in the first batch norm"
    assert reports[3]["bad"] == "the gradient of gain/gain", "only a derivative is a NaN, on one replica"
    assert reports[5]["bad"].startswith("the gradient of")


@pytest.mark.multi_replica
def test_two_replicas_skip_a_step_together() -> None:
    check(step_through(two_replicas()))


@pytest.mark.slow
@pytest.mark.two_process
def test_two_processes_skip_a_step_together() -> None:
    one, other = (json.loads(output.splitlines()[-1]) for output in run_two_processes(_WORKER))
    check(one)
    assert one == other


def test_twenty_skipped_steps_in_a_row_are_an_error_that_names_the_last() -> None:
    names = ["the loss", "the gradient of a"]
    check_skipped(np.array([18.0, 19.0, 0.0]), np.array([1.0, 1.0, -1.0]), 10, names, "lower the rate")
    with pytest.raises(InputError, match="20 steps in a row .* at step 11 the gradient of a: lower"):
        check_skipped(np.array([19.0, 20.0, 0.0]), np.array([0.0, 1.0, -1.0]), 10, names, "lower the rate")
