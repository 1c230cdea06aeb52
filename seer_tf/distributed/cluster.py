"""The workers of a run and the number of this worker, from flags, from `TF_CONFIG`, or from Slurm's variables.

A worker is one process, usually on a separate host. The first worker is the chief: it alone writes the run directory.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

from seer_tf.errors import InputError, shorten

_SLURM_PORTS = range(20_000, 30_000)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run.

    Attributes:
        workers: Addresses `host:port` of the workers, in the order of their numbers.
        index: Number of this process.

    Raises:
        InputError: An address has the wrong form or appears twice, or no worker has the number.
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
                raise InputError(f"the worker {address} is named twice; give each process a different address")
        if not 0 <= self.index < len(self.workers):
            raise InputError(
                f"this is worker {self.index}, but the {len(self.workers)} workers are numbered from 0 to "
                f"{len(self.workers) - 1}"
            )

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run directory."""
        return self.index == 0

    @property
    def port(self) -> int:
        """Returns the port of this worker."""
        return int(self.workers[self.index].rpartition(":")[2])

    def name(self, index: int) -> str:
        """Returns the name of a worker in messages."""
        return f"worker {index} ({self.workers[index]})"


def find_cluster(workers: Sequence[str] = (), worker_index: int | None = None) -> Cluster | None:
    """Returns the cluster from the arguments, or else from the environment; None if neither names one.

    Args:
        workers: Addresses `host:port` of all workers, if given.
        worker_index: Number of this worker, if given.

    Raises:
        InputError: The description of the cluster is incomplete or contradicts itself.
    """
    if bool(workers) != (worker_index is not None):
        raise InputError("`workers` and `worker_index` belong together: give both or neither")
    if worker_index is not None:
        return Cluster(tuple(workers), worker_index)
    if "TF_CONFIG" in os.environ:
        return _from_tf_config(os.environ["TF_CONFIG"])
    if "SLURM_STEP_NUM_TASKS" in os.environ:  # srun sets it for each of its processes; sbatch does not
        return _from_slurm(os.environ)
    return None


def _from_tf_config(text: str) -> Cluster | None:
    try:
        values = json.loads(text)
        jobs = values.get("cluster", {})
        chief, others = ([str(address) for address in jobs.get(job, ())] for job in ("chief", "worker"))
        if not chief + others:
            return None
        kind, index = values["task"]["type"], int(values["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise InputError(
            f"TF_CONFIG={shorten(repr(text))} cannot be read; it looks like "
            '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
        ) from None
    if kind not in ("chief", "worker"):
        raise InputError(f"TF_CONFIG makes this process a {kind!r}, which has no work here; use chief and worker")
    return Cluster((*chief, *others), index + (len(chief) if kind == "worker" else 0))


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    """Returns the tasks of a Slurm step as workers, on ports that depend on the job's number.

    TensorFlow's resolver reads Slurm's list of hosts and sorts the hosts by name. Then it uses this process's rank,
    which follows Slurm's order, as the number among the sorted hosts. So the number is derived from the host here.
    """
    try:
        num_tasks = int(environment["SLURM_STEP_NUM_TASKS"])
        first_port = _SLURM_PORTS[int(environment["SLURM_JOB_ID"]) % len(_SLURM_PORTS)]
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=first_port,
            gpus_per_node=num_tasks,  # only the ratio to the next argument matters: Slurm assigns GPUs
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
            f"Slurm's variables do not name the workers ({error}); name the workers with `workers=host:port,…` and "
            "`worker_index=N`"
        ) from None
