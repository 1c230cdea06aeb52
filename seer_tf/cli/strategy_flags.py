"""Devices and hosts to compute on."""

from absl import flags

from seer_tf.distributed.cluster import Cluster
from seer_tf.distributed.devices import Devices
from seer_tf.distributed.strategy import KINDS, Placement

STRATEGY = flags.DEFINE_enum("strategy", "auto", KINDS, "Where to compute; auto takes the workers and GPUs there are.")
NUM_DEVICES = flags.DEFINE_integer(
    "num_devices", None, "Devices of this host: GPUs, else parts of the CPU. [all GPUs, else 1]", lower_bound=1
)
WORKERS = flags.DEFINE_list("workers", [], "Addresses host:port of all workers. [from TF_CONFIG or Slurm]")
WORKER_INDEX = flags.DEFINE_integer("worker_index", None, "Which of --workers this process is, from 0.", lower_bound=0)
MEETING_SECONDS = flags.DEFINE_float("meeting_seconds", 300, "How long workers wait for one another at the start.", 0)


def devices() -> Devices:
    """Returns the devices and hosts that the flags name."""
    return Devices(STRATEGY.value, NUM_DEVICES.value, WORKERS.value, WORKER_INDEX.value, MEETING_SECONDS.value)


def cluster() -> Cluster | None:
    """Returns the workers that the flags or the environment name; None for one process.

    Raises:
        InputError: what names them is incomplete, or does not go with --strategy.
    """
    return devices().cluster()


def placement(cluster: Cluster | None) -> Placement:
    """Returns the devices to compute on.

    Raises:
        InputError: a device is not there, or their number does not go with --strategy.
    """
    return devices().placement(cluster)
