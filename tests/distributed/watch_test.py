"""A lost worker is noticed while the interpreter is busy, and one that has said farewell is not a lost one."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.watch import Watch

_CLUSTER = Cluster(("a:1", "b:2", "c:3"), 0)

#: The chief of three workers. The loop stands for the tracing of a graph, which gives the interpreter no rest.
_CHIEF = """
import socket, sys
from seer_tf.distributed import watch
from seer_tf.distributed.cluster import Cluster
watch._SECONDS_FOR_TENSORFLOW = 0.5
watched = watch.Watch(Cluster(("a:1", "b:2", "c:3"), 0))
for index in (1, 2):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        watched.keep(index, connection)
with watched.watching():
    print("watching", flush=True)
    while True:
        pass
"""


@contextlib.contextmanager
def _chief() -> Iterator[tuple[subprocess.Popen[str], list[socket.socket]]]:
    """Yields a process and its connections from the other workers, in the order of their numbers."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = [sys.executable, "-c", _CHIEF, str(listener.getsockname()[1])]
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        connections = [stack.enter_context(listener.accept()[0]) for _ in range(2)]
        assert process.stdout is not None and process.stdout.readline() == "watching\n"
        yield process, connections


def test_a_worker_whose_connection_breaks_ends_the_others_while_they_trace() -> None:
    with _chief() as (process, (first, second)):
        first.close()
        _, errors = process.communicate(timeout=60)
        assert second.recv(64) == b"lost 1\n"
    assert process.returncode == os.EX_TEMPFAIL
    sentence = "error: worker 1 (b:2) no longer answers, so worker 0 (a:1) stops too; start all workers again"
    assert sentence in errors.splitlines()[-1]


def test_farewells_end_nothing() -> None:
    with _chief() as (process, connections):
        for connection in connections:
            connection.sendall(b"bye\n")
            connection.close()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)


@contextlib.contextmanager
def _kept() -> Iterator[tuple[Watch, socket.socket]]:
    """Yields a watch of one connection, and the other end of it."""
    watch = Watch(_CLUSTER)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as other,
        listener.accept()[0] as connection,
    ):
        watch.keep(1, connection)
        other.settimeout(10)
        yield watch, other


def test_only_a_body_that_succeeds_says_farewell() -> None:
    with _kept() as (watch, other):
        with watch.watching():
            pass
        assert other.recv(64) == b"bye\n"
    with _kept() as (watch, other):
        with pytest.raises(ValueError, match="bad"), watch.watching():
            raise ValueError("bad")


def test_the_kernel_asks_for_signs_of_life() -> None:
    """Six questions, two seconds apart, and TensorFlow's time are less than the 30 seconds that the page states."""
    with _kept() as (watch, _), watch.watching():
        (connection,) = watch._connections.values()
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [connection.getsockopt(socket.IPPROTO_TCP, name) for name in names] == [2, 2, 5]


def test_one_process_watches_nobody() -> None:
    with Watch(None).watching():
        pass
