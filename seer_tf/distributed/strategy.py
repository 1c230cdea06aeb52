"""Chooses the TensorFlow strategy of a run: one device, several devices of one host, or several hosts."""

import dataclasses

import tensorflow as tf

from seer_tf.distributed.cluster import Cluster
from seer_tf.errors import InputError

KINDS = ("auto", "one_device", "mirrored", "multi_worker")
#: How hosts sum: by NVIDIA's library between GPUs, or in a ring of messages by gRPC.
COMMUNICATIONS = ("auto", "nccl", "ring")


@dataclasses.dataclass(frozen=True)
class Placement:
    """The devices and workers of a run, known before TensorFlow starts a device.

    Attributes:
        kind: Kind of strategy: `one_device`, `mirrored` or `multi_worker`.
        num_devices: Number of devices of this host that take part: GPUs, or parts of the CPU if there is no GPU.
        cluster: Workers; None unless the kind is `multi_worker`.
        communication: How hosts sum: `nccl` or `ring`.
    """

    kind: str
    num_devices: int
    cluster: Cluster | None
    communication: str = "ring"

    @property
    def num_replicas(self) -> int:
        """Returns the number of devices on all hosts. Each host has as many devices as this host."""
        return self.num_devices * (len(self.cluster.workers) if self.cluster else 1)

    def facts(self) -> dict[str, str]:
        """Returns what must be equal on all hosts."""
        return {"devices": str(self.num_devices), "communication": self.communication}


def cluster_for(kind: str, cluster: Cluster | None) -> Cluster | None:
    """Returns the workers that a kind of strategy uses; None if it needs only this process.

    Args:
        kind: One of `KINDS`.
        cluster: Workers that the user or the environment names.

    Raises:
        InputError: The kind is for one process but several workers are named, or it is for several but none is named.
    """
    if kind == "multi_worker":
        if cluster is None:
            raise InputError(
                "`strategy=multi_worker` needs the workers: set TF_CONFIG, start under srun, or give `workers` and "
                "`worker_index`"
            )
        return cluster
    if cluster is None or len(cluster.workers) == 1:
        return None
    if kind != "auto":
        raise InputError(f"`strategy={kind}` is for one process, but {len(cluster.workers)} workers are named")
    return cluster


def place(
    kind: str, num_devices: int | None, cluster: Cluster | None, *, num_gpus: int, communication: str = "auto"
) -> Placement:
    """Returns the placement of a run.

    Args:
        kind: One of `KINDS`. `auto` takes the workers if there are any, else all GPUs, else the CPU.
        num_devices: Number of devices of this host; None for all GPUs, or for one CPU.
        cluster: Result of `cluster_for`.
        num_gpus: Number of GPUs of this host.
        communication: One of `COMMUNICATIONS`. `auto` takes NCCL if there are GPUs.

    Raises:
        InputError: A device does not exist, or the kind does not fit the number of devices.
    """
    if communication == "auto":  # TensorFlow's own choice between hosts is never NCCL
        communication = "nccl" if num_gpus else "ring"
    if communication == "nccl" and not num_gpus:
        raise InputError("`communication=nccl` is for GPUs, and this host has none; leave it out")
    if num_devices is not None and 0 < num_gpus < num_devices:
        raise InputError(f"`num_devices={num_devices}`, but this host has {num_gpus} GPUs; lower it or repair the host")
    num_devices = num_devices or (1 if kind == "one_device" else max(1, num_gpus))
    if kind == "auto":
        kind = "multi_worker" if cluster else "mirrored" if num_devices > 1 else "one_device"
    if kind == "multi_worker" and num_devices > 1 and not num_gpus:
        raise InputError(f"`num_devices={num_devices}`: without GPUs a worker has one device; start more workers")
    if kind == "one_device" and num_devices > 1:
        raise InputError(f"`strategy=one_device` does not go with `num_devices={num_devices}`; leave out one of them")
    if kind == "mirrored" and num_devices == 1:
        raise InputError("`strategy=mirrored` needs several devices, and there is one; give `num_devices`")
    return Placement(kind, num_devices, cluster, communication)


def choose_devices(placement: Placement) -> None:
    """Tells TensorFlow which devices of this host to use.

    Raises:
        InputError: TensorFlow computes with other devices already, as it may in a notebook.
    """
    gpus = tf.config.list_physical_devices("GPU")
    try:
        if gpus:
            tf.config.set_visible_devices(gpus[: placement.num_devices], "GPU")
            # In float32 it would turn images before and after hundreds of convolutions, because 1 x 1 convolutions are
            # matrix products here and keep the layout.
            tf.config.optimizer.set_experimental_options({"layout_optimizer": False})
        elif placement.num_devices > 1:
            cpu = tf.config.list_physical_devices("CPU")[0]
            parts = [tf.config.LogicalDeviceConfiguration()] * placement.num_devices
            tf.config.set_logical_device_configuration(cpu, parts)
    except RuntimeError:
        raise InputError(
            f"TensorFlow has begun to compute with other devices than `num_devices={placement.num_devices}`; start "
            "Python again, and give `num_devices` to the first call"
        ) from None


def make_strategy(placement: Placement) -> tf.distribute.Strategy:
    """Starts the devices of a placement and returns the strategy over them.

    TensorFlow must not have computed anything before. With one worker it may have computed after `choose_devices` with
    the same placement. With several workers this function waits for all of them, and they should have met before
    (`rendezvous.py`).
    """
    choose_devices(placement)
    gpus = tf.config.list_physical_devices("GPU")
    if placement.cluster is not None:
        return tf.distribute.MultiWorkerMirroredStrategy(
            cluster_resolver=tf.distribute.cluster_resolver.SimpleClusterResolver(
                tf.train.ClusterSpec({"worker": list(placement.cluster.workers)}),
                task_type="worker",
                task_id=placement.cluster.index,
                num_accelerators={"GPU": placement.num_devices if gpus else 0},
                rpc_layer="grpc",
            ),
            communication_options=tf.distribute.experimental.CommunicationOptions(
                implementation=tf.distribute.experimental.CommunicationImplementation(placement.communication.upper())
            ),
        )
    if placement.kind == "mirrored":
        kind = "GPU" if gpus else "CPU"
        return tf.distribute.MirroredStrategy([f"{kind}:{index}" for index in range(placement.num_devices)])
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Returns whether this process writes the run directory. It is true for a single process."""
    resolver = strategy.cluster_resolver
    return resolver is None or resolver.task_id == 0
