"""What a GPU would be asked to do in a step: kernels, bytes of activations, transposes and sums, counted on a CPU.

`python -m benchmarks.suite.gpu_counts DEVICES [section.field=value ...]` prints the counts of a case as a line of JSON.
Nothing is computed, and variables have no values: a step of 256GF takes a minute and 2 GB.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # as `seer_tf` does beside a GPU, before anything imports TensorFlow

import dataclasses
import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.harness.comparison import Case
from benchmarks.harness.settings import Settings

#: Images on a device. No width of a network is a multiple of 17, so that sizes tell activations from weights.
IMAGES = 17
_NETWORKS = ("400MF", "16GF", "256GF")
_PRECISIONS = ("float32", "mixed_float16")
_NUM_DEVICES = (1, 2)
_QUICK = ("backbone.variant=90MF", "crops.sizes_px=32,16", "head.num_prototypes=10", "head.hidden_dims=64")


@dataclasses.dataclass(frozen=True)
class Counted:
    """Counts of a case, by number of devices.

    Attributes:
        title: Title of the case.
        of_devices: `gpu_graph.Counts` as a dictionary, by number of devices.
    """

    title: str
    of_devices: dict[int, dict[str, int]]

    def table(self) -> str:
        """Returns a row for each number of devices."""
        lines = [
            f"### {self.title}\n",
            "| devices | launches | activations, GB | transposes | collectives |",
            "|---|---|---|---|---|",
        ]
        for number, found in self.of_devices.items():
            cells = (number, f"{found['launches']:,}", f"{found['activation_bytes'] / 1e9:.1f}")
            lines.append(f"| {' | '.join(map(str, (*cells, found['transposes'], found['collectives'])))} |")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Returns the counts by number of devices."""
        return {"title": self.title, "counts": {str(number): found for number, found in self.of_devices.items()}}


def cases(settings: Settings) -> Iterator[Case]:
    """Yields a case for each network and precision, on one device and on two, whose batch norm is synchronised."""
    for network in _NETWORKS[:1] if settings.quick else _NETWORKS:
        for precision in _PRECISIONS:
            fields = (f"backbone.variant={network}", f"run.precision={precision}", *(_QUICK if settings.quick else ()))
            yield Case(f"a step of {network} in {precision}, one device's part", functools.partial(_counted, fields))


def _counted(fields: Sequence[str], title: str, rounds: int) -> Counted:
    del rounds
    return Counted(title, {number: _in_own_process(number, fields) for number in _NUM_DEVICES})


def _in_own_process(num_devices: int, fields: Sequence[str]) -> dict[str, int]:
    command = [sys.executable, "-m", "benchmarks.suite.gpu_counts", str(num_devices), *fields]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{child.stderr}")
    return json.loads(child.stdout.splitlines()[-1])


def counts_of_step(num_devices: int, fields: Sequence[str]) -> dict[str, int]:
    """Returns the counts of one device in a step with random images. TensorFlow must not have computed anything.

    Args:
        num_devices: Number of replicas, as parts of the CPU.
        fields: Assignments to the default config.
    """
    import tensorflow as tf

    from benchmarks.harness import gpu_graph
    from seer_tf import config as configs
    from seer_tf.config import Config
    from seer_tf.distributed.strategy import make_strategy, place
    from seer_tf.methods.swav.state import TrainState
    from seer_tf.methods.swav.step import train_step

    config = configs.override(Config(), [f"data.global_batch_size={IMAGES * num_devices}", *fields])
    strategy = make_strategy(place("auto", num_devices, None, num_gpus=0))
    with strategy.scope(), gpu_graph.without_values():
        state = TrainState(config)
    specs = tuple(
        tf.TensorSpec([IMAGES, num, side, side, 3], tf.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )
    step = tf.function(lambda *crops: strategy.run(train_step, args=(state, crops)), autograph=False)
    with gpu_graph.tracing_for_gpus():
        graph = step.get_concrete_function(*specs).graph
    return dataclasses.asdict(gpu_graph.counts(graph, gpu_graph.needed(graph), IMAGES))


if __name__ == "__main__":
    print(json.dumps(counts_of_step(int(sys.argv[1]), sys.argv[2:])))
