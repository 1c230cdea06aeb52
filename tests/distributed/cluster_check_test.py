"""The cluster check as a user runs it: its output, and the name of a failing worker instead of a hang."""

import math
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.cluster_check import Timings, slow_workers
from tests.two_processes import two_commands

_COMMAND = ["experiments/check_cluster.py", "--gradient_mb=1"]


def printed(folder: pathlib.Path, index: int) -> list[str]:
    """Returns the lines in a worker's output that this package wrote."""
    lines = (folder / f"{index}.txt").read_text().splitlines()
    return [line for line in lines if line.startswith(("worker", "all-reduce", "error"))]


@pytest.mark.slow
@pytest.mark.two_process
def test_two_workers_are_measured(tmp_path: pathlib.Path) -> None:
    with two_commands(_COMMAND, tmp_path) as workers:
        statuses = [worker.wait(120) for worker in workers]
    for index, status in enumerate(statuses):
        lines = printed(tmp_path, index)
        assert [line.partition(":")[0].partition(" (")[0] for line in lines[:4]] == [
            "worker 0",
            "worker 1",
            "all-reduce of 1 KB",
            "all-reduce of 1 MB",
        ]
        slow = len(lines) == 5 and lines[4].startswith("error: slow: worker")  # on a busy machine
        assert status == (2 if slow else 0), lines


@pytest.mark.two_process
def test_a_missing_worker_is_named(tmp_path: pathlib.Path) -> None:
    with two_commands(_COMMAND, tmp_path, of_second=["--meeting_seconds=1"]) as workers:
        workers[0].kill()
        assert workers[1].wait(60) == 2
    (line,) = printed(tmp_path, 1)
    assert line.startswith("error: worker 0 (localhost:")
    assert "cannot be reached within 1 s" in line


@pytest.mark.slow
@pytest.mark.two_process
def test_a_worker_that_freezes_is_named(tmp_path: pathlib.Path) -> None:
    with two_commands([*_COMMAND, "--meeting_seconds=15"], tmp_path, of_second=["--meeting_seconds=15"]) as workers:
        children = pathlib.Path(f"/proc/{workers[1].pid}/task/{workers[1].pid}/children")
        deadline = time.monotonic() + 60
        while not children.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(workers[1].pid, signal.SIGSTOP)
        assert workers[0].wait(90) == 2
    (line,) = printed(tmp_path, 0)
    assert line.startswith("error: worker 1 (localhost:")
    assert "did not come" in line


@pytest.mark.parametrize("num_failed", [1, 2, 3])
def test_every_link_that_failed_is_named(num_failed: int) -> None:
    cluster = Cluster(("a:1", "b:2", "c:3"), 0)
    links = [math.inf] * num_failed + [0.1] * (3 - num_failed)
    failed = [f"{cluster.name(index)} in sending to the next worker (it failed)" for index in range(num_failed)]
    assert slow_workers(cluster, [Timings(link, 0.02, 0.001, 0.3) for link in links]) == failed


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [("--strategy=auto", "error: no workers are named"), ("--gradient_mb=0", "--gradient_mb=0")],
)
def test_wrong_flags_are_refused(flag: str, sentence: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_CONFIG" and "SLURM" not in name}
    command = [sys.executable, *_COMMAND, flag]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode != 0
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_slow_workers_are_named() -> None:
    cluster = Cluster(("a:1", "b:2", "c:3"), 0)
    even = Timings(link=0.1, compute=0.02, small=0.001, gradient=0.3)
    assert slow_workers(cluster, [even] * 3) == []
    assert slow_workers(cluster, [even, Timings(0.1, 0.07, 0.001, 0.3), Timings(0.25, 0.03, 0.001, 0.3)]) == [
        "worker 1 (b:2) in computing (70 ms, the median is 30 ms)",
        "worker 2 (c:3) in sending to the next worker (250 ms, the median is 100 ms)",
    ]
