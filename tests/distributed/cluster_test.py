"""The workers of a cluster, named by flags, by TF_CONFIG, or by the variables that Slurm's srun sets."""

import json

import pytest

from seer_tf.distributed.cluster import Cluster, find_cluster
from seer_tf.errors import InputError


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(variable, raising=False)


def slurm(monkeypatch: pytest.MonkeyPatch, *, nodes: str, tasks: str, node: str, local: int, rank: int) -> None:
    """Sets the variables that srun gives to a process (Slurm 23: `srun --export=ALL env`)."""
    values = {
        "JOB_ID": 30_123_456,
        "PROCID": rank,
        "LOCALID": local,
        "STEP_NODELIST": nodes,
        "STEP_TASKS_PER_NODE": tasks,
        "STEP_NUM_TASKS": sum(int(part.partition("(")[0]) * int(part[3:-1] or 1) for part in tasks.split(",")),
    }
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setenv("SLURMD_NODENAME", node)


def test_without_named_workers_there_is_no_cluster() -> None:
    assert find_cluster() is None


def test_flags_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "not even JSON")
    found = find_cluster(["a:1", "b:2"], 1)
    assert found == Cluster(("a:1", "b:2"), 1)
    assert (found.is_chief, found.port, found.name(0)) == (False, 2, "worker 0 (a:1)")


@pytest.mark.parametrize(("task", "index"), [({"type": "chief", "index": 0}, 0), ({"type": "worker", "index": 1}, 2)])
def test_tf_config_with_a_chief(monkeypatch: pytest.MonkeyPatch, task: dict, index: int) -> None:
    jobs = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
    assert find_cluster() == Cluster(("a:1", "b:2", "c:3"), index)


def test_tf_config_without_workers_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert find_cluster() is None


@pytest.mark.parametrize(
    ("node", "local", "rank", "address"),
    [("node9", 0, 0, "node9:23456"), ("node9", 1, 1, "node9:23457"), ("node10", 0, 2, "node10:23456")],
)
def test_a_task_of_slurm_finds_its_own_host(
    monkeypatch: pytest.MonkeyPatch, node: str, local: int, rank: int, address: str
) -> None:
    """Slurm counts node9 before node10, but the order by name is the reverse."""
    slurm(monkeypatch, nodes="node[9-10]", tasks="2(x2)", node=node, local=local, rank=rank)
    found = find_cluster()
    assert found is not None
    assert sorted(found.workers) == sorted(f"node{host}:{port}" for host in (9, 10) for port in (23456, 23457))
    assert found.workers[found.index] == address


def test_a_list_of_hosts_that_cannot_be_read_gets_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm(monkeypatch, nodes="rack[1-2]node[1-2]", tasks="1(x4)", node="rack1node1", local=0, rank=0)
    with pytest.raises(InputError, match="Slurm's variables do not name the workers .*`workers="):
        find_cluster()


@pytest.mark.parametrize(
    ("workers", "index", "sentence"),
    [
        (["a:1", "b:2"], None, "belong together"),
        ([], 1, "belong together"),
        (["a:1", "b:2"], 2, "this is worker 2, but the 2 workers are numbered from 0 to 1"),
        (["a:1", "b"], 0, "'b' is not of the form host:port"),
        (["a:1", "b:99999"], 0, "not of the form host:port"),
        (["a:1", "a:1"], 0, "named twice"),
    ],
)
def test_wrong_flags_get_one_sentence(workers: list[str], index: int | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        find_cluster(workers, index)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ('{"cluster": {"worker": ["a:1"]}}', "cannot be read"),
        ('{"cluster": ["a:1"], "task": {"type": "worker", "index": 0}}', "cannot be read"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "a 'ps', which has no work here"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 4}}', "this is worker 4"),
    ],
)
def test_a_wrong_tf_config_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=sentence):
        find_cluster()
