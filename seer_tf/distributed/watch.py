"""Watches the other workers of a run, so that a lost one is noticed whatever this process is doing.

TensorFlow reports a lost worker to the collectives that are under way. A process that traces a graph, or measures a
probe, is in none of them and would learn of the loss minutes later. Therefore each worker keeps its connection from
the meeting. When a process ends, the kernel of its host closes its connections. When a host is lost, the kernel of the
other host finds out by TCP's keepalive. A process that is stopped leaves questions unanswered. None of this needs the
interpreter of the other worker. A thread waits for that, and ends the process unless TensorFlow does so first.
"""

import contextlib
import os
import re
import selectors
import socket
import sys
import threading
from collections.abc import Iterator

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.questions import Questions

#: A host counts as lost if it leaves six of the kernel's probes, two seconds apart, without an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 5}
_SECONDS_FOR_TENSORFLOW = 12.0
_SECONDS_BETWEEN_LOOKS = 0.5
_FAREWELL, _LOST = b"bye\n", re.compile(rb"lost (\d+)\n")
_MESSAGE_BYTES = 64


class Watch:
    """The connections between the chief and the other workers, after their meeting."""

    def __init__(self, cluster: Cluster | None, questions: Questions | None = None) -> None:
        """Starts without connections; the meeting adds them.

        Args:
            cluster: Workers; None for a run of one process, which watches nobody.
            questions: Asks the workers that are connected.
        """
        self._cluster = cluster
        self._questions = questions or Questions()
        self._connections: dict[int, socket.socket] = {}
        self._has_ended = threading.Event()

    def keep(self, index: int, connection: socket.socket) -> None:
        """Keeps a connection of the meeting, which the caller may close.

        Args:
            index: Number of the worker at its other end.
            connection: Connection; the copy asks the kernel to look after it.
        """
        kept = connection.dup()
        kept.setblocking(True)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not every system can change its usual times, which are hours
                kept.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._connections[index] = kept

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches while the body runs.

        If a worker is lost and the body does not end within 12 seconds, a sentence is written to standard error and
        the process ends with status 75. A body that ends without an exception says farewell to the other workers.
        """
        thread = threading.Thread(target=self._watch, daemon=True, name="watch")
        thread.start()
        try:
            yield
            self._tell(_FAREWELL)
        finally:
            self._has_ended.set()
            thread.join()
            while self._connections:
                self._connections.popitem()[1].close()

    def _watch(self) -> None:
        lost = self._first_lost()
        if lost is None or self._cluster is None:
            return
        self._tell(b"lost %d\n" % lost)  # the chief tells the others; they have no connections between them
        if not self._has_ended.wait(_SECONDS_FOR_TENSORFLOW):
            sys.stderr.flush()
            os.write(2, f"\nerror: {lost_sentence(self._cluster, [lost])}\n".encode())
            os._exit(os.EX_TEMPFAIL)

    def _first_lost(self) -> int | None:
        """Waits for a lost worker, and returns its number; None if the body ended first."""
        with selectors.DefaultSelector() as selector:
            for index, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, index)
            while selector.get_map() and not self._has_ended.is_set():
                for key, _ in selector.select(_SECONDS_BETWEEN_LOOKS):
                    assert isinstance(key.fileobj, socket.socket)
                    received = _received(key.fileobj)
                    if not received.startswith(_FAREWELL):
                        of_chief = _LOST.match(received)
                        return int(of_chief[1]) if of_chief else key.data
                    selector.unregister(key.fileobj)
                silent = self._questions.silent([key.data for key in selector.get_map().values()])
                if silent is not None:
                    return silent
        return None

    def _tell(self, message: bytes) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.sendall(message)


def lost_sentence(cluster: Cluster, lost: list[int]) -> str:
    """Returns the sentence about lost workers.

    Args:
        cluster: Workers.
        lost: Numbers of the lost workers; empty if they are unknown.
    """
    named = " and ".join(map(cluster.name, lost)) or "another worker"
    return (
        f"{named} no longer answers, so {cluster.name(cluster.index)} stops too; start all workers again, and they "
        "continue from the newest checkpoint"
    )


def _received(connection: socket.socket) -> bytes:
    """Returns a message; nothing if the connection is broken."""
    try:
        return connection.recv(_MESSAGE_BYTES)
    except OSError:
        return b""
