"""Checks whether the workers of a run reach one another, and how fast; start this command on every host.

The command names a worker that does not come, cannot be reached, hangs or is slow. Each of its five parts ends within
twice --meeting_seconds: the rendezvous, the connections, the speed of the links, the all-reduces, the comparison.
"""

from absl import flags

from seer_tf.cli import strategy_flags
from seer_tf.distributed.cluster_check import check_cluster, slow_workers
from seer_tf.distributed.rendezvous import rendezvous
from seer_tf.errors import InputError
from seer_tf.versions import versions

GRADIENT_MB = flags.DEFINE_float(
    "gradient_mb", 100, "Size of the large all-reduce; 4 MB for each million parameters.", lower_bound=0.001
)

flags.adopt_module_key_flags(strategy_flags)
flags.set_default(strategy_flags.STRATEGY, "multi_worker")
flags.set_default(strategy_flags.MEETING_SECONDS, 30)


def main() -> None:
    """Runs the command."""
    cluster, seconds = strategy_flags.cluster(), strategy_flags.MEETING_SECONDS.value
    if cluster is None:
        raise InputError(
            "no workers are named: set TF_CONFIG, start the command under srun, or give --workers and --worker_index"
        )
    with rendezvous(cluster, timeout_seconds=seconds) as facts:
        placement = strategy_flags.placement(cluster)
        facts.update(versions(), **placement.facts())
    num_bytes = int(1e6 * GRADIENT_MB.value)
    timings = check_cluster(placement, gradient_bytes=num_bytes, timeout_seconds=seconds)
    for index, each in enumerate(timings):
        rate = 32 / each.link
        print(f"{cluster.name(index)}: matrix product {1e3 * each.compute:.2f} ms, {rate:.0f} MB/s to the next worker")
    slowest = max(each.gradient for each in timings)
    by = placement.communication
    print(f"all-reduce of 1 KB ({by}): {1e3 * max(each.small for each in timings):.2f} ms")
    print(f"all-reduce of {GRADIENT_MB.value:g} MB ({by}): {1e3 * slowest:.1f} ms", flush=True)
    if slow := slow_workers(cluster, timings):
        raise InputError(f"slow: {'; '.join(slow)}")
