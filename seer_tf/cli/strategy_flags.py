"""Devices and hosts to compute on."""

from absl import flags

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.devices import Devices
from seer_tf.distributed.strategy import COMMUNICATIONS, KINDS, Placement

STRATEGY = flags.DEFINE_enum("strategy", "auto", KINDS, "Where to compute; auto uses all named workers and all GPUs.")
NUM_DEVICES = flags.DEFINE_integer(
    "num_devices",
    None,
    "Number of devices in this host: GPUs, or parts of the CPU without GPUs. [all GPUs, or 1]",
    lower_bound=1,
)
WORKERS = flags.DEFINE_list("workers", [], "Addresses host:port of all workers. [from TF_CONFIG or Slurm]")
WORKER_INDEX = flags.DEFINE_integer(
    "worker_index", None, "Position of this process in --workers, counted from 0.", lower_bound=0
)
MEETING_SECONDS = flags.DEFINE_float(
    "meeting_seconds", 300, "Time that workers wait for one another at the start, in seconds.", 0
)
COMMUNICATION = flags.DEFINE_enum(
    "communication", "auto", COMMUNICATIONS, "How hosts sum; auto is nccl with GPUs, else ring, which goes by gRPC."
)


def devices() -> Devices:
    """Returns the devices and hosts that the flags name."""
    return Devices(
        STRATEGY.value,
        NUM_DEVICES.value,
        WORKERS.value,
        WORKER_INDEX.value,
        MEETING_SECONDS.value,
        COMMUNICATION.value,
    )


def cluster() -> Cluster | None:
    """Returns the workers that the flags or the environment name; None for one process.

    Raises:
        InputError: The flags or the environment are incomplete, or do not fit --strategy.
    """
    return devices().cluster()


def placement(cluster: Cluster | None) -> Placement:
    """Returns the devices to compute on.

    Raises:
        InputError: A device is missing, or the number of devices does not fit --strategy.
    """
    return devices().placement(cluster)
