"""The start of a run: its workers meet, compare what they opened, and compute on all devices together."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

import tensorflow as tf

from seer_tf.config import AnyConfig
from seer_tf.distributed.devices import Devices
from seer_tf.distributed.rendezvous import rendezvous
from seer_tf.distributed.strategy import make_strategy
from seer_tf.distributed.watch import Watch
from seer_tf.training.preemption import lost_workers_named
from seer_tf.training.run_directory import RunDirectory

Data = TypeVar("Data")


@dataclasses.dataclass(frozen=True)
class Opened(Generic[AnyConfig, Data]):
    """What a worker opens before it trains.

    Attributes:
        config: Config of the run.
        data: Its images.
        images: `Source.identity` of the images by field of the config.
    """

    config: AnyConfig
    data: Data
    images: Mapping[str, str]


@contextlib.contextmanager
def begun_run(
    devices: Devices, directory: RunDirectory, opened_for: Callable[[int], Opened[AnyConfig, Data]]
) -> Iterator[tuple[tf.distribute.Strategy, Opened[AnyConfig, Data]]]:
    """Begins a run on all of its workers, of which there may be one.

    Args:
        devices: Devices and hosts.
        directory: Run directory.
        opened_for: Function that takes the number of replicas, checks the input and opens the images.

    Yields:
        The strategy over all devices, and what this worker opened.

    Raises:
        InputError: A device is missing, the directory belongs to another run, or the workers opened different things.
        LostWorkerError: Another worker no longer answers.
    """
    cluster = devices.cluster()
    watch = Watch(cluster)
    with rendezvous(cluster, timeout_seconds=devices.meeting_seconds, watch=watch) as facts:
        placement = devices.placement(cluster)
        opened = opened_for(placement.num_replicas)
        directory.check(opened.config, opened.images)
        facts.update(directory.facts(opened.config, opened.images), **placement.facts())
    with watch.watching(), lost_workers_named(cluster):
        if opened.config.run.deterministic:
            tf.config.experimental.enable_op_determinism()
        yield make_strategy(placement), opened
