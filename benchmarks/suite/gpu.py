"""Steps on GPUs: time, memory and scaling, beside PyTorch if it is installed, and the input that they need.

Each contestant runs in a process of its own, because the first would keep the memory of the GPU. Without a GPU
everything is small, to show that it runs. `python -m benchmarks.suite.gpu CONTESTANT DEVICES STEPS [section.field=value
...]` prints the measurements of one contestant as a line of JSON.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import contextlib
import dataclasses
import functools
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.harness.comparison import Case
from benchmarks.harness.machine import peak_mib
from benchmarks.harness.settings import COMPILED, EAGER, Settings
from benchmarks.suite import input_pipeline, one_step
from seer_tf import environment
from seer_tf.config import Config

_NETWORKS = {"400MF": 128, "16GF": 32}  # images on a device
_PRECISIONS = ("mixed_bfloat16", "mixed_float16", "float32")
_SMALL = ("crops.sizes_px=32,16", "head.num_prototypes=10", "head.hidden_dims=64")
_STEPS, _SMALL_STEPS = 30, 2


@dataclasses.dataclass(frozen=True)
class Steps:
    """Measurements of steps.

    Attributes:
        title: Title of the case.
        images: Images on a device.
        found: Measurements by contestant; a sentence for a contestant that failed.
    """

    title: str
    images: int
    found: Mapping[str, dict[str, Any] | str]

    def table(self) -> str:
        """Returns a row for each contestant."""
        lines = [
            f"### {self.title}\n",
            "| | a step, ms | images/s | memory, GiB | first call, s |",
            "|---|---|---|---|---|",
        ]
        for name, found in self.found.items():
            if isinstance(found, str):
                lines.append(f"| {name} | {found} | | | |")
                continue
            seconds = statistics.median(found["seconds"])
            speed = self.images * found["devices"] / seconds
            gib, first = found["peak_bytes"] / 2**30, found["first_seconds"]
            lines.append(f"| {name} | {1e3 * seconds:.1f} | {speed:.0f} | {gib:.2f} | {first:.0f} |")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Returns all measurements as JSON values."""
        return {"title": self.title, "images": self.images, "found": dict(self.found)}


def cases(settings: Settings) -> Iterator[Case]:
    """Yields the steps of each network in each precision, and the work of the host for their input."""
    environment.check_gpus()
    gpus = _num_gpus()
    small = settings.quick or not gpus
    for network, images in {"90MF": 4}.items() if small else _NETWORKS.items():
        for precision in _PRECISIONS[:1] if small else _PRECISIONS:
            fields = (f"backbone.variant={network}", f"run.precision={precision}", *(_SMALL if small else ()))
            title = f"a step of {network} on {gpus or 'no'} GPUs, {images} images each, {precision}"
            num_steps = _SMALL_STEPS if small else _STEPS
            yield Case(title, functools.partial(_steps, fields, images, max(gpus, 2 if small else 1), num_steps))
    for case in input_pipeline.cases(settings):
        yield Case(f"input for GPUs: {case.title}", case.run)


def _num_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def _steps(fields: Sequence[str], images: int, most: int, num_steps: int, title: str, rounds: int) -> Steps:
    del rounds  # a process has many steps
    numbers = [number for number in (1, 2, 4, 8, 16) if number < most] + [most]
    contestants = {f"{one_step.OURS}, {number} devices": (one_step.OURS, number) for number in numbers}
    if importlib.util.find_spec("torch"):
        contestants |= {f"{kind}, 1 device": (kind, 1) for kind in (EAGER, COMPILED)[: 1 if num_steps < _STEPS else 2]}
    found = {
        name: _in_own_process(kind, number, num_steps, (*fields, f"data.global_batch_size={images * number}"))
        for name, (kind, number) in contestants.items()
    }
    return Steps(title, images, found)


def _in_own_process(kind: str, num_devices: int, num_steps: int, fields: Sequence[str]) -> dict[str, Any] | str:
    """Returns the measurements, or the last line of what a contestant says that fails, e.g. for lack of memory."""
    command = [sys.executable, "-m", "benchmarks.suite.gpu", kind, str(num_devices), str(num_steps), *fields]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        return f"failed: {(child.stderr.strip().splitlines() or [str(child.returncode)])[-1][:200]}"
    return json.loads(child.stdout.splitlines()[-1])


def _measured(kind: str, num_devices: int, num_steps: int, fields: Sequence[str]) -> dict[str, Any]:
    config = one_step.config_of(fields)
    step, peak_bytes = _ours(config, num_devices) if kind == one_step.OURS else _torch(kind, config)
    seconds = []
    for _ in range(1 + num_steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    first, *rest = seconds
    return {"devices": num_devices, "first_seconds": first, "seconds": rest, "peak_bytes": peak_bytes()}


def _ours(config: Config, num_devices: int) -> tuple[Callable[[], object], Callable[[], float]]:
    """Returns a function that makes a step, and one that returns the peak memory of the first device, in bytes."""
    import tensorflow as tf

    from seer_tf.distributed.gpus import num_gpus
    from seer_tf.distributed.strategy import make_strategy, place
    from seer_tf.methods.swav.state import TrainState
    from seer_tf.methods.swav.step import train_step

    strategy = make_strategy(place("auto", num_devices, None, num_gpus=num_gpus()))
    with strategy.scope():
        state = TrainState(config)
    images = config.data.global_batch_size // num_devices
    crops = tuple(tf.constant(group[:images]) for group in one_step.crops_of(config))
    step = tf.function(lambda: strategy.run(train_step, args=(state, crops)), autograph=False)

    def peak_bytes() -> float:
        gpus = tf.config.list_logical_devices("GPU")
        return tf.config.experimental.get_memory_info(gpus[0].name[-5:])["peak"] if gpus else peak_mib() * 2**20

    return lambda: strategy.experimental_local_results(step()["loss"])[0].numpy(), peak_bytes


def _torch(kind: str, config: Config) -> tuple[Callable[[], object], Callable[[], float]]:
    """Returns the same for PyTorch, on its GPU if it finds one."""
    import torch

    from benchmarks.peers.torch_swav import torch_step

    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as TensorFlow
    crops = [torch.from_numpy(group).to(device) for group in one_step.crops_of(config)]
    step = torch_step(config, crops, compiled=kind == COMPILED)
    half = {"mixed_float16": torch.float16, "mixed_bfloat16": torch.bfloat16}.get(config.run.precision)

    def in_precision() -> float:
        with torch.autocast(device.type, half) if half else contextlib.nullcontext():
            return step()

    return in_precision, lambda: torch.cuda.max_memory_allocated() if on_gpu else peak_mib() * 2**20


if __name__ == "__main__":
    kind, devices, steps, *assignments = sys.argv[1:]
    print(json.dumps(_measured(kind, int(devices), int(steps), assignments)))
