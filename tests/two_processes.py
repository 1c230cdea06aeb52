"""Runs two workers of one cluster on this machine, with a time limit.

A collective that waits for a lost partner ignores SIGTERM, so the functions kill the workers after the time limit.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from tests.places import ROOT


def run_two_processes(code: str, arguments: Sequence[str] = (), *, timeout_seconds: float = 120) -> list[str]:
    """Runs Python code as worker 0 and worker 1 of a `MultiWorkerMirroredStrategy`.

    Args:
        code: Text of the program. The program can import `seer_tf` and `tests`.
        arguments: Values of `sys.argv[1:]` in the program.
        timeout_seconds: Time limit for both workers, in seconds.

    Returns:
        The standard output of each worker, without surrounding white space.

    Raises:
        AssertionError: A worker failed or the time was over. The text holds the end of the worker's standard error.
    """
    deadline = time.monotonic() + timeout_seconds
    with (
        tempfile.TemporaryDirectory() as name,
        started_workers(code, folder := pathlib.Path(name), arguments) as workers,
    ):
        while (statuses := [worker.poll() for worker in workers]) != [0, 0]:
            for index, status in enumerate(statuses):
                if status:
                    raise AssertionError(f"worker {index} ended with {status}: {_text(folder, index, 'err')[-2000:]}")
            if time.monotonic() > deadline:
                said = " ".join(_text(folder, index, "err")[-1000:] for index in range(2))
                raise AssertionError(f"the workers were still running after {timeout_seconds} s: {said}")
            time.sleep(0.05)
        return [_text(folder, index, "out").strip() for index in range(2)]


@contextlib.contextmanager
def started_workers(
    code: str, folder: pathlib.Path, arguments: Sequence[str] = ()
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Starts Python code as worker 0 and worker 1 of a cluster, and kills the remaining processes at the end.

    Args:
        code: Text of the program.
        folder: Directory for `0.out`, `0.err`, `1.out` and `1.err`, which get the output of the workers.
        arguments: Values of `sys.argv[1:]` in the program.
    """
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(2):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            worker = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": json.dumps(cluster), "CUDA_VISIBLE_DEVICES": "-1"},
                stdout=stack.enter_context(open(folder / f"{index}.out", "w")),
                stderr=stack.enter_context(open(folder / f"{index}.err", "w")),
            )
            stack.callback(worker.wait)  # runs after the kill below
            stack.callback(worker.kill)
            workers.append(worker)
        yield workers


@contextlib.contextmanager
def two_commands(
    command: Sequence[str], folder: pathlib.Path, *, of_second: Sequence[str] = ()
) -> Iterator[list[subprocess.Popen[str]]]:
    """Starts a command as both workers of a cluster, and kills the remaining processes at the end.

    Args:
        command: Command and its flags, without the flags that name the workers.
        folder: Directory for `0.txt` and `1.txt`, which get the output of the workers.
        of_second: Additional flags of worker 1.
    """
    workers = ",".join(f"localhost:{port}" for port in free_ports(2))
    with contextlib.ExitStack() as stack:
        started = []
        for index, more in enumerate(((), of_second)):
            binary, *flags = command
            own = [f"--workers={workers}", f"--worker_index={index}", "--meeting_seconds=60"]
            worker = subprocess.Popen(
                [sys.executable, binary, *own, *flags, *more],  # the last value of a flag counts
                cwd=ROOT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
                stdout=stack.enter_context(open(folder / f"{index}.txt", "w")),
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            stack.callback(worker.wait)  # runs after the kill below
            stack.callback(_kill_all, worker)
            started.append(worker)
        yield started


def _kill_all(worker: subprocess.Popen[str]) -> None:
    """Kills a worker and the processes that the worker started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def _text(folder: pathlib.Path, index: int, ending: str) -> str:
    return (folder / f"{index}.{ending}").read_text()


def free_ports(count: int) -> list[int]:
    """Returns free ports. All sockets stay open until the last port is found, so the ports differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
