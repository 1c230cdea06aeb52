"""The workers of a run meet before TensorFlow starts, so that all of them report a problem with any of them.

TensorFlow waits forever for a missing worker, and it trains even if workers have different recipes. So each worker
first connects to the chief's port and sends a line of JSON. When the chief has a line from each worker, it sends all
lines back, or a sentence about what is wrong. After that the ports are free for TensorFlow; a `Watch` may keep the
connections.

Anybody may connect to the ports. The chief listens to all connections at once, so none can hold up the others. It
closes those that send something else than the line of a worker, or too much.
"""

import contextlib
import json
import os
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.watch import Watch
from seer_tf.errors import InputError

_GREETING = "this is the chief of a run of seer_tf\n"
_SECONDS_FOR_A_LINE = 5.0  # for a worker that is connected; the caller limits the wait for workers
_LINE_BYTES, _PART_BYTES = 1 << 22, 1 << 16
_LOOPBACK = ("localhost", "127.0.0.1")
_SECONDS_BETWEEN_TRIES = 0.2
_MAX_DIFFERENCES = 3


@contextlib.contextmanager
def rendezvous(
    cluster: Cluster | None, *, timeout_seconds: float, watch: Watch | None = None
) -> Iterator[dict[str, str]]:
    """Lets the workers compare the facts that they collect in the body of a `with` statement.

    The body receives a dictionary and puts everything into it that must be the same on all workers. If the body of one
    worker raises an `InputError`, all workers raise it with the name of that worker.

    Args:
        cluster: Workers. With None or a single worker nothing happens.
        timeout_seconds: Time that the chief waits for the other workers, and that they wait for the chief.
        watch: Keeps the connections, if given.

    Raises:
        InputError: A worker did not come, raised an error, or differs from the chief. Every worker raises it.
    """
    facts: dict[str, str] = {}
    if cluster is None or len(cluster.workers) == 1:
        yield facts
        return
    try:
        yield facts
    except InputError as error:
        with contextlib.suppress(InputError):
            exchange(cluster, None, trouble=str(error), timeout_seconds=timeout_seconds)
        raise
    _check_equal(cluster, exchange(cluster, facts, timeout_seconds=timeout_seconds, watch=watch))


def exchange(
    cluster: Cluster,
    message: Any,
    *,
    trouble: str | None = None,
    timeout_seconds: float,
    watch: Watch | None = None,
) -> list[Any]:
    """Returns the messages of all workers to each worker, in the order of the workers' numbers.

    Args:
        cluster: Workers. Each worker must call this function.
        message: Message of this worker as JSON types, or a function that returns the message once the port is open.
        trouble: Sentence about what is wrong with this worker. All workers raise it.
        timeout_seconds: Time that the chief waits for the other workers, and that they wait for the chief to appear.
            The chief answers within its own time, so this function returns or raises within twice the time.
        watch: Keeps the connections, if given.

    Raises:
        InputError: A worker did not come or has trouble, or its port is in use. Every worker raises it.
    """
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(socket.create_server((_interface(cluster), cluster.port), backlog=1024))
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            trouble = f"port {cluster.port} cannot be used ({reason}); free the port, or take another one"
            if cluster.is_chief:
                raise InputError(trouble) from None
        content = message() if callable(message) else message
        line = {"workers": list(cluster.workers), "index": cluster.index, "message": content, "trouble": trouble}
        if cluster.is_chief:
            answer = _collect(cluster, listener, line, timeout_seconds, watch)
        else:
            answer = _report(cluster, line, timeout_seconds, watch)
    if trouble is not None or "error" in answer:
        raise InputError(trouble or answer["error"])
    return answer["messages"]


def unreachable(cluster: Cluster, *, timeout_seconds: float) -> list[int]:
    """Returns the numbers of the workers to which this worker cannot connect, while all workers are in `exchange`."""

    def is_there(address: str) -> bool:
        host, _, port = address.rpartition(":")
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=left):
                return True
            time.sleep(_SECONDS_BETWEEN_TRIES)
        return False

    with ThreadPoolExecutor(len(cluster.workers)) as pool:
        return [index for index, there in enumerate(pool.map(is_there, cluster.workers)) if not there]


def _interface(cluster: Cluster) -> str:
    """Returns the address to listen at: that of this host alone if all workers are on it, else of all networks."""
    hosts = {worker.rpartition(":")[0] for worker in cluster.workers}
    return "127.0.0.1" if hosts.issubset(_LOOPBACK) else ""


def _collect(
    cluster: Cluster, listener: socket.socket, own: dict[str, Any], timeout_seconds: float, watch: Watch | None
) -> dict[str, Any]:
    """Receives a line from each worker, as the chief, and answers all workers."""
    deadline = time.monotonic() + timeout_seconds
    lines, workers = {0: own}, dict[int, socket.socket]()
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(listener, selectors.EVENT_READ)
        while len(lines) < len(cluster.workers) and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fileobj is listener:
                    _accept(listener, selector, stack)
                elif (line := _received(key, selector)) is not None:
                    assert isinstance(key.fileobj, socket.socket)
                    lines[line["index"]], workers[line["index"]] = line, key.fileobj
        answer = _answer(cluster, lines)
        for index, connection in workers.items():
            with contextlib.suppress(OSError):
                connection.settimeout(_SECONDS_FOR_A_LINE)
                _send(connection, answer)
                if watch is not None:
                    watch.keep(index, connection)
    return answer


def _accept(listener: socket.socket, selector: selectors.BaseSelector, stack: contextlib.ExitStack) -> None:
    """Greets a new connection, and registers it for reading."""
    with contextlib.suppress(OSError):  # The other side has gone.
        connection = stack.enter_context(listener.accept()[0])
        connection.setblocking(False)
        connection.sendall(_GREETING.encode())
        selector.register(connection, selectors.EVENT_READ, bytearray())


def _received(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> dict[str, Any] | None:
    """Reads the bytes that have arrived on a connection; returns a worker's line when it is complete."""
    connection: Any = key.fileobj
    try:
        part = connection.recv(_PART_BYTES)
    except OSError:
        part = b""
    key.data.extend(part)
    is_whole = part.endswith(b"\n")
    if part and not is_whole and len(key.data) <= _LINE_BYTES:
        return None
    selector.unregister(connection)
    line = _worker_line(key.data) if is_whole else None
    if line is None:
        connection.close()
    return line


def _worker_line(encoded: bytes | bytearray) -> dict[str, Any] | None:
    """Returns the line that a worker sent, or None for anything else."""
    try:
        line = json.loads(encoded)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or line.keys() != {"workers", "index", "message", "trouble"}:
        return None
    workers, index, trouble = line["workers"], line["index"], line["trouble"]
    is_list = isinstance(workers, list) and all(isinstance(worker, str) for worker in workers)
    is_index = type(index) is int and is_list and 0 < index < len(workers)
    return line if is_index and isinstance(trouble, str | None) else None


def _answer(cluster: Cluster, lines: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Returns the messages, or one sentence about what is wrong."""
    for index, line in sorted(lines.items()):
        if line["workers"] != list(cluster.workers):
            theirs, ours = ",".join(line["workers"]), ",".join(cluster.workers)
            return {"error": f"worker {index} was started with the workers {theirs}, but worker 0 with {ours}"}
        if line["trouble"] is not None:
            return {"error": f"{cluster.name(index)}: {line['trouble']}"}
    missing = [cluster.name(index) for index in range(len(cluster.workers)) if index not in lines]
    if missing:
        return {"error": f"{' and '.join(missing)} did not come; was it started, and can it reach {cluster.name(0)}?"}
    return {"messages": [lines[index]["message"] for index in range(len(lines))]}


def _report(cluster: Cluster, line: dict[str, Any], timeout_seconds: float, watch: Watch | None) -> dict[str, Any]:
    """Sends this worker's line to the chief and returns the chief's answer. It tries until the chief is there."""
    deadline = time.monotonic() + timeout_seconds
    host, _, port = cluster.workers[0].rpartition(":")
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, int(port)), timeout=left) as connection:
                reason = "the program that listens there does not answer as a worker"
                if _read_line(connection, len(_GREETING), min(left, _SECONDS_FOR_A_LINE)) == _GREETING.encode():
                    _send(connection, line)
                    most_bytes = _LINE_BYTES * len(cluster.workers)
                    answer = json.loads(_read_line(connection, most_bytes, timeout_seconds + _SECONDS_FOR_A_LINE))
                    if watch is not None:
                        watch.keep(0, connection)
                    return answer
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or reason
        time.sleep(_SECONDS_BETWEEN_TRIES)
    return {"error": f"{cluster.name(0)} cannot be reached within {timeout_seconds:g} s ({reason})"}


def _read_line(connection: socket.socket, most_bytes: int, seconds: float) -> bytes:
    """Returns the next line of a connection.

    Raises:
        OSError: The line does not end within this number of bytes and seconds.
    """
    deadline, received = time.monotonic() + seconds, bytearray()
    while not received.endswith(b"\n"):
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(min(_PART_BYTES, most_bytes - len(received)))
        if not part:
            raise OSError
        received += part
    return bytes(received)


def _send(connection: socket.socket, line: dict[str, Any]) -> None:
    connection.sendall(json.dumps(line).encode() + b"\n")


def _check_equal(cluster: Cluster, all_facts: Sequence[Mapping[str, str]]) -> None:
    """Raises an error if a worker differs from the chief."""
    chief = all_facts[0]
    for index, facts in enumerate(all_facts):
        texts = [
            f"{name} is {facts.get(name)} there, but {chief.get(name)} on {cluster.name(0)}"
            for name in dict.fromkeys((*chief, *facts))
            if facts.get(name) != chief.get(name)
        ]
        if texts:
            more = f"; and {len(texts) - _MAX_DIFFERENCES} more" if len(texts) > _MAX_DIFFERENCES else ""
            raise InputError(
                f"{cluster.name(index)} differs: {'; '.join(texts[:_MAX_DIFFERENCES])}{more}; start all workers with "
                "the same flags and versions"
            )
