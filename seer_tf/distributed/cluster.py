"""Who the workers of a run are, and which of them this process is: by flags, by `TF_CONFIG`, or by Slurm's variables.

A worker is one process, usually on a host of its own. The first is the chief: it alone writes the run directory.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

from seer_tf.errors import InputError

_SLURM_PORTS = range(20_000, 30_000)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Attributes:
        workers: Addresses `host:port` of the workers, in the order of their numbers.
        index: Number of this process.

    Raises:
        InputError: an address is not of that form or stands there twice, or the number is none of theirs.
    """

    workers: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        """Checks addresses and number."""
        for address in self.workers:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise InputError(f"the worker {address!r} is not of the form host:port, e.g. node1:2222")
            if self.workers.count(address) > 1:
                raise InputError(f"the worker {address} is named twice; each process needs an address of its own")
        if not 0 <= self.index < len(self.workers):
            raise InputError(
                f"this is worker {self.index}, but there are {len(self.workers)}, counted from 0 to "
                f"{len(self.workers) - 1}"
            )

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.index == 0

    @property
    def port(self) -> int:
        """Returns the port of this worker."""
        return int(self.workers[self.index].rpartition(":")[2])

    def name(self, index: int) -> str:
        """Returns what messages call a worker."""
        return f"worker {index} ({self.workers[index]})"


def find_cluster(workers: Sequence[str] = (), worker_index: int | None = None) -> Cluster | None:
    """Returns the cluster that was given or else that the environment names; None where there is none.

    Args:
        workers: Addresses `host:port` of all workers, if they were given.
        worker_index: Number of this worker.

    Raises:
        InputError: what names the cluster is incomplete or contradicts itself.
    """
    if bool(workers) != (worker_index is not None):
        raise InputError("`workers` and `worker_index` belong together: give both or neither")
    if worker_index is not None:
        return Cluster(tuple(workers), worker_index)
    if "TF_CONFIG" in os.environ:
        return _from_tf_config(os.environ["TF_CONFIG"])
    if "SLURM_STEP_NUM_TASKS" in os.environ:  # set by srun for each of its processes, not by sbatch
        return _from_slurm(os.environ)
    return None


def _from_tf_config(text: str) -> Cluster | None:
    try:
        values = json.loads(text)
        jobs = values.get("cluster", {})
        chief, others = list(jobs.get("chief", ())), list(jobs.get("worker", ()))
        if not chief + others:
            return None
        kind, index = values["task"]["type"], int(values["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"TF_CONFIG={text!r} cannot be read; it looks like "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    if kind not in ("chief", "worker"):
        raise InputError(f"TF_CONFIG makes this process the {kind!r}, for which there is no work; use chief and worker")
    return Cluster((*chief, *others), index + (len(chief) if kind == "worker" else 0))


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    """Returns the tasks of a Slurm step as workers, on ports that follow from the number of the job.

    TensorFlow's resolver reads Slurm's list of hosts. It sorts the hosts by their names and then takes this process's
    rank, which counts them in Slurm's order, as its number among them; so the number is taken from the host here.
    """
    try:
        num_tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        first_port = _SLURM_PORTS[int(environment["SLURM_JOB_ID"]) % len(_SLURM_PORTS)]
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=first_port,
            gpus_per_node=num_tasks,  # of this and the next only the quotient matters: Slurm itself hands out GPUs
            gpus_per_task=1,
            auto_set_gpu=False,
        )
        workers = tuple(resolver.cluster_spec().job_tasks("worker"))
        own = f"{environment['SLURMD_NODENAME']}:{first_port + int(environment['SLURM_LOCALID'])}"
        return Cluster(workers, workers.index(own))
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Slurm's variables do not name the workers ({error}); name them by `workers=host:port,…` and "
            "`worker_index=N`"
        ) from None
