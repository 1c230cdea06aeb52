"""Steps of SwAV in a process of their own: their seconds, and the peak of resident memory.

`python -m benchmarks.one_step CONTESTANT STEPS [section.field=value ...]` prints them as a line of JSON.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.machine import peak_mib
from seer_tf import config as configs
from seer_tf.config import Config

OURS = "seer_tf"
EAGER = "PyTorch eager"
COMPILED = "PyTorch compiled"
CONTESTANTS = (OURS, EAGER, COMPILED)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a process of its own found.

    Attributes:
        built_mib: resident memory when everything is there and no step is made yet.
        peak_mib: the most that the process ever held.
        first_seconds: of the first step, which traces or compiles.
        seconds: of each step after it.
    """

    built_mib: float
    peak_mib: float
    first_seconds: float
    seconds: list[float]

    @property
    def step_mib(self) -> float:
        """What the steps needed beside what was there before them."""
        return self.peak_mib - self.built_mib


def config_of(assignments: Sequence[str]) -> Config:
    """Returns the default config with some fields replaced, as `config.override` reads them."""
    return configs.override(Config(), assignments)


def crops_of(config: Config) -> list[np.ndarray]:
    """Returns random crops, uint8 [B, n, s, s, 3] for each size."""
    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, (config.data.global_batch_size, num, side, side, 3), np.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    ]


def step_of(contestant: str, config: Config) -> Callable[[], float]:
    """Returns a function that makes one step and returns its loss.

    Args:
        contestant: one of `CONTESTANTS`; the libraries of the others are not imported.
        config: of the step.
    """
    if contestant == OURS:
        return tf_step(config)
    import torch

    from benchmarks.torch_swav import torch_step

    return torch_step(config, [torch.from_numpy(group) for group in crops_of(config)], compiled=contestant == COMPILED)


def tf_step(config: Config, model: Any = None) -> Callable[[], float]:
    """Returns a function that makes one of our steps, with the config's model or another one."""
    import tensorflow as tf

    from seer_tf.train.state import TrainState
    from seer_tf.train.step import train_step

    state, crops = TrainState(config, model=model), tuple(map(tf.constant, crops_of(config)))
    step = tf.function(lambda: train_step(state, crops))
    return lambda: float(step()["loss"])


def measured(contestant: str, num_steps: int, assignments: Sequence[str]) -> Measured:
    """Returns what a fresh process measures.

    Args:
        contestant: one of `CONTESTANTS`.
        num_steps: after the first.
        assignments: fields of the config.

    Raises:
        RuntimeError: the process failed.
    """
    command = [sys.executable, "-m", "benchmarks.one_step", contestant, str(num_steps), *assignments]
    child = subprocess.run(command, capture_output=True, text=True)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{child.stderr}")
    return Measured(**json.loads(child.stdout.splitlines()[-1]))


def _main(contestant: str, num_steps: str, *assignments: str) -> None:
    step = step_of(contestant, config_of(assignments))
    built, seconds = peak_mib(), []
    for _ in range(1 + int(num_steps)):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    print(json.dumps(dataclasses.asdict(Measured(built, peak_mib(), seconds[0], seconds[1:]))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
