"""The strategy of a run, and combinations of flags that are refused. No test needs a GPU."""

import pytest
import tensorflow as tf

from seer_tf.distributed import strategy
from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.strategy import Placement, cluster_for, is_chief, make_strategy, place
from seer_tf.errors import InputError

_TWO = Cluster(("a:1", "b:2"), 1)


@pytest.mark.parametrize(
    ("kind", "num_devices", "cluster", "expected", "num_replicas"),
    [
        ("auto", None, None, "one_device", 1),
        ("auto", 2, None, "mirrored", 2),
        ("auto", None, _TWO, "multi_worker", 2),
        ("one_device", None, None, "one_device", 1),
        ("mirrored", 4, None, "mirrored", 4),
        ("multi_worker", 1, _TWO, "multi_worker", 2),
    ],
)
def test_the_strategy_follows_from_devices_and_workers(
    kind: str, num_devices: int | None, cluster: Cluster | None, expected: str, num_replicas: int
) -> None:
    assert cluster_for(kind, cluster) == cluster
    placement = place(kind, num_devices, cluster, num_gpus=0)
    assert (placement.kind, placement.num_replicas) == (expected, num_replicas)


def test_one_worker_is_one_process_unless_multi_worker_is_asked_for() -> None:
    alone = Cluster(("a:1",), 0)
    assert cluster_for("auto", alone) is None
    assert cluster_for("mirrored", alone) is None
    assert cluster_for("multi_worker", alone) == alone


@pytest.mark.parametrize(
    ("kind", "cluster", "sentence"),
    [
        ("multi_worker", None, "needs the workers"),
        ("one_device", _TWO, "for one process, but 2 workers"),
        ("mirrored", _TWO, "for one process, but 2 workers"),
    ],
)
def test_a_kind_that_does_not_fit_the_workers_is_refused(kind: str, cluster: Cluster | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        cluster_for(kind, cluster)


@pytest.mark.parametrize(
    ("kind", "num_devices", "cluster", "sentence"),
    [
        ("one_device", 2, None, "does not go with `num_devices=2`"),
        ("mirrored", None, None, "needs several devices"),
        ("multi_worker", 2, _TWO, "without GPUs a worker has one device"),
    ],
)
def test_missing_devices_are_refused(
    kind: str, num_devices: int | None, cluster: Cluster | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        place(kind, num_devices, cluster, num_gpus=0)


def test_all_gpus_are_used_and_more_are_refused() -> None:
    assert place("auto", None, None, num_gpus=7) == Placement("mirrored", 7, None, "nccl")
    assert place("auto", None, _TWO, num_gpus=7).num_replicas == 14
    assert place("one_device", None, None, num_gpus=7).num_devices == 1
    with pytest.raises(InputError, match="`num_devices=8`, but this host has 7 GPUs"):
        place("auto", 8, _TWO, num_gpus=7)


@pytest.mark.parametrize(
    ("communication", "num_gpus", "expected"),
    [("auto", 0, "ring"), ("auto", 8, "nccl"), ("ring", 8, "ring"), ("nccl", 8, "nccl")],
)
def test_hosts_reduce_by_nccl_if_there_are_gpus(
    communication: str, num_gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow's strategy gets this value as an option, because its default is the ring on GPUs too."""
    placement = place("auto", None, _TWO, num_gpus=num_gpus, communication=communication)
    assert placement.facts() == {"devices": str(max(1, num_gpus)), "communication": expected}
    given = {}
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda **options: given.update(options))
    monkeypatch.setattr(strategy, "choose_devices", lambda _: None)
    make_strategy(placement)
    assert given["communication_options"].implementation.value == expected.upper()


def test_nccl_without_gpus_is_refused() -> None:
    with pytest.raises(InputError, match="`communication=nccl` is for GPUs"):
        place("auto", None, _TWO, num_gpus=0, communication="nccl")


def test_one_device_is_tensorflows_default() -> None:
    strategy = make_strategy(place("one_device", None, None, num_gpus=0))
    assert strategy is tf.distribute.get_strategy()
    assert is_chief(strategy)
