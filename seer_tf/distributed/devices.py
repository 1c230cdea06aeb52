"""Devices and hosts that a user names with flags or arguments."""

import dataclasses
from collections.abc import Sequence

from seer_tf.distributed.cluster import Cluster, find_cluster
from seer_tf.distributed.gpus import num_gpus
from seer_tf.distributed.strategy import Placement, cluster_for, place


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices and hosts that the user names.

    Attributes:
        strategy: One of `distributed.strategy.KINDS`.
        num_devices: Number of devices of this host; None for all GPUs, or for one CPU.
        workers: Addresses `host:port` of all workers; empty for the workers of `TF_CONFIG` or Slurm.
        worker_index: Number of this process among the workers.
        meeting_seconds: Time that workers wait for one another at the start.
        communication: One of `distributed.strategy.COMMUNICATIONS`.
    """

    strategy: str = "auto"
    num_devices: int | None = None
    workers: Sequence[str] = ()
    worker_index: int | None = None
    meeting_seconds: float = 300
    communication: str = "auto"

    def cluster(self) -> Cluster | None:
        """Returns the workers; None for one process.

        Raises:
            InputError: The description of the workers is incomplete, or does not fit the strategy.
        """
        return cluster_for(self.strategy, find_cluster(self.workers, self.worker_index))

    def placement(self, cluster: Cluster | None) -> Placement:
        """Returns the devices to compute on.

        Raises:
            InputError: A device does not exist, or the number of devices does not fit the strategy.
        """
        return place(self.strategy, self.num_devices, cluster, num_gpus=num_gpus(), communication=self.communication)
