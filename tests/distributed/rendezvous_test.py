"""The rendezvous of workers: each worker learns the facts of all, and all report the fault of one.

Threads play the workers.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.rendezvous import exchange, rendezvous
from seer_tf.errors import InputError
from tests.two_processes import free_ports


def clusters(count: int) -> list[Cluster]:
    """Returns the cluster as each of `count` workers sees it."""
    addresses = tuple(f"localhost:{port}" for port in free_ports(count))
    return [Cluster(addresses, index) for index in range(count)]


def together(work: Callable[[Cluster], Any], workers: list[Cluster]) -> list[Any]:
    """Returns the result of each worker, or the text of its `InputError`."""

    def one(cluster: Cluster) -> Any:
        try:
            return work(cluster)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(len(workers)) as pool:
        return list(pool.map(one, workers))


def test_each_worker_learns_the_values_of_all_and_the_ports_can_be_used_again() -> None:
    def twice(cluster: Cluster) -> list[Any]:
        first = exchange(cluster, {"number": cluster.index}, timeout_seconds=20)
        return [first, exchange(cluster, cluster.index**2, timeout_seconds=20)]

    expected = [[{"number": index} for index in range(5)], [0, 1, 4, 9, 16]]
    assert together(twice, clusters(5)) == [expected] * 5


def test_workers_wait_for_a_late_worker() -> None:
    def late(cluster: Cluster) -> list[Any]:
        time.sleep(1.5 - cluster.index)  # worker 1 is half a second late, the chief one second more
        return exchange(cluster, cluster.index, timeout_seconds=20)

    assert together(late, clusters(2)) == [[0, 1]] * 2


def test_all_workers_name_the_missing_workers() -> None:
    workers = clusters(4)
    started = time.monotonic()
    said = together(lambda cluster: exchange(cluster, None, timeout_seconds=1), [workers[0], workers[2]])
    assert time.monotonic() - started < 3
    assert len(set(said)) == 1
    assert said[0].startswith(f"{workers[0].name(1)} and {workers[0].name(3)} did not come")


def test_a_missing_chief_is_named() -> None:
    worker = clusters(2)[1]
    with pytest.raises(InputError, match=r"worker 0 \(localhost:\d+\) cannot be reached within 1 s \(Connection ref"):
        exchange(worker, None, timeout_seconds=1)


def test_a_host_that_does_not_exist_is_named() -> None:
    worker = Cluster(("no-such-host.invalid:1234", f"localhost:{free_ports(1)[0]}"), 1)
    with pytest.raises(InputError, match=r"worker 0 \(no-such-host.invalid:1234\) cannot be reached within 1 s"):
        exchange(worker, None, timeout_seconds=1)


def test_all_workers_report_a_port_in_use() -> None:
    workers = clusters(3)
    with socket.create_server(("", workers[1].port)):
        said = together(lambda cluster: exchange(cluster, None, timeout_seconds=20), workers)
    sentence = f"port {workers[1].port} cannot be used (Address already in use); free the port, or take another one"
    assert said[1] == sentence
    assert said[0] == said[2] == f"{workers[0].name(1)}: {sentence}"


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400\r\n", b"\x80\n", b""])
def test_all_workers_report_a_chiefs_port_in_use(greeting: bytes) -> None:
    workers = clusters(2)
    with socket.create_server(("", workers[0].port)) as other:
        threading.Thread(target=_greet, args=(other, greeting), daemon=True).start()
        said = together(lambda cluster: exchange(cluster, None, timeout_seconds=1), workers)
    assert said[0].startswith(f"port {workers[0].port} cannot be used")
    assert said[1].startswith(
        f"{workers[0].name(0)} cannot be reached within 1 s (the program that listens there does not answer"
    )


def _greet(server: socket.socket, greeting: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            connection.sendall(greeting)
            connection.close()


def test_another_client_at_the_chiefs_port_does_no_harm() -> None:
    workers = clusters(2)

    def after_a_stranger(cluster: Cluster) -> list[Any]:
        if not cluster.is_chief:
            time.sleep(0.5)
            with socket.create_connection(("localhost", workers[0].port)) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        return exchange(cluster, cluster.index, timeout_seconds=20)

    assert together(after_a_stranger, workers) == [[0, 1]] * 2


def test_different_lists_of_workers_are_named() -> None:
    workers = clusters(3)
    shorter = Cluster(workers[1].workers[:2], 1)
    said = together(lambda cluster: exchange(cluster, None, timeout_seconds=1), [workers[0], shorter])
    assert said[0] == said[1]
    assert "worker 1 was started with the workers" in said[0]


def test_workers_with_equal_facts_continue() -> None:
    def call(cluster: Cluster) -> str:
        with rendezvous(cluster, timeout_seconds=20) as facts:
            facts["seed"] = "1"
        return "on"

    assert together(call, clusters(3)) == ["on"] * 3


def test_all_workers_name_the_field_that_differs() -> None:
    workers = clusters(3)

    def call(cluster: Cluster) -> None:
        with rendezvous(cluster, timeout_seconds=20) as facts:
            facts["seed"] = str(cluster.index // 2)
            facts["version"] = "1"

    said = together(call, workers)
    assert said == [said[0]] * 3
    assert said[0].startswith(f"{workers[0].name(2)} differs: seed is 1 there, but 0 on {workers[0].name(0)}; start")


@pytest.mark.parametrize("index", [0, 1])
def test_all_workers_report_the_bad_input_of_one(index: int) -> None:
    workers = clusters(2)

    def call(cluster: Cluster) -> None:
        with rendezvous(cluster, timeout_seconds=20):
            if cluster.index == index:
                raise InputError("there is no GPU")

    said = together(call, workers)
    assert said[index] == "there is no GPU"
    assert said[1 - index] == f"{workers[0].name(index)}: there is no GPU"


def test_one_process_needs_no_rendezvous() -> None:
    for cluster in (None, clusters(1)[0]):
        with rendezvous(cluster, timeout_seconds=0.1) as facts:
            facts["seed"] = "1"


@contextlib.contextmanager
def _strangers(address: str, sent: Sequence[bytes]) -> Iterator[None]:
    """Connects to an address and sends each content on a separate connection. All connections stay open."""
    with contextlib.ExitStack() as stack:
        for content in sent:
            stranger = stack.enter_context(_connected(address))
            with contextlib.suppress(OSError):
                stranger.sendall(content)
        yield


def _connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    for _ in range(100):
        with contextlib.suppress(OSError):
            return socket.create_connection((host, int(port)))
        time.sleep(0.05)
    raise TimeoutError(address)


def _line(known: list[Cluster], **changes: Any) -> bytes:
    line = {"workers": list(known[0].workers), "index": 1, "message": "false", "trouble": None}
    return json.dumps({**line, **changes}).encode() + b"\n"


def test_clients_that_send_nothing_too_much_or_nonsense_delay_nobody() -> None:
    """The test fails if each silent connection costs five seconds, or if a wrong index stops the chief."""
    workers = clusters(3)
    wrong = [_line(workers, index=index) for index in (0, 3, -1, 10**30, "1", 1.0, None, True)]
    wrong += [_line(workers, workers=3), _line(workers, trouble=3), b"[]\n", b"3\n", b"[" * 10**5 + b"\n", b"\xff\n"]
    silent, endless = [b""] * 20, [b"x" * 5_000_000, b"{"]

    def after_the_strangers(cluster: Cluster) -> list[Any]:
        if cluster.index == 1:
            with _strangers(workers[0].workers[0], [*silent, *endless, *wrong]):
                return exchange(cluster, cluster.index, timeout_seconds=20)
        return exchange(cluster, cluster.index, timeout_seconds=20)

    started = time.monotonic()
    assert together(after_the_strangers, workers) == [[0, 1, 2]] * 3
    assert time.monotonic() - started < 10


def test_one_time_limit_covers_the_whole_rendezvous() -> None:
    """A peer that sends a byte now and then does not extend the time limit of a chief or a worker."""
    chief, worker = clusters(2)
    ended = threading.Event()

    def trickle(connection: socket.socket, content: bytes) -> None:
        with contextlib.suppress(OSError), connection:
            for byte in content:
                connection.sendall(bytes([byte]))
                if ended.wait(0.2):
                    break

    started = time.monotonic()
    slow = threading.Thread(target=lambda: trickle(_connected(chief.workers[0]), b" " * 100), daemon=True)
    slow.start()
    with pytest.raises(InputError, match=r"worker 1 .* did not come"):
        exchange(chief, None, timeout_seconds=1)
    with socket.create_server(("localhost", chief.port)) as server:
        threading.Thread(target=lambda: trickle(server.accept()[0], b"this is" * 100), daemon=True).start()
        with pytest.raises(InputError, match="cannot be reached within 1 s"):
            exchange(worker, None, timeout_seconds=1)
    ended.set()
    assert time.monotonic() - started < 6


@pytest.mark.parametrize(("host", "interface"), [("localhost", "127.0.0.1"), ("node1.example", "0.0.0.0")])
def test_a_worker_listens_on_the_interface_of_its_address(
    host: str, interface: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = []
    create = socket.create_server

    def recorded(*args: Any, **options: Any) -> socket.socket:
        listening.append(server := create(*args, **options))
        return server

    monkeypatch.setattr(socket, "create_server", recorded)
    cluster = Cluster((f"{host}:{free_ports(1)[0]}", "localhost:1"), 0)
    names = []
    with pytest.raises(InputError):
        exchange(cluster, lambda: names.append(listening[0].getsockname()[0]), timeout_seconds=0.1)
    assert names == [interface]
