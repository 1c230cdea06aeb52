"""Steps of SwAV in a separate process: their times and peak resident memory.

`python -m benchmarks.suite.one_step CONTESTANT STEPS [section.field=value ...]` prints both as a line of JSON.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import own_process
from benchmarks.harness.settings import COMPILED
from seer_tf import config as configs
from seer_tf.config import Config

OURS = "seer_tf"


def config_of(assignments: Sequence[str]) -> Config:
    """Returns the default config with the assignments of `config.override`."""
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
        contestant: Name of ours, or of a PyTorch contestant (`settings.py`). Only its own libraries are imported.
        config: Config of the step.
    """
    if contestant == OURS:
        return tf_step(config)
    import torch

    from benchmarks.peers.torch_swav import torch_step

    return torch_step(config, [torch.from_numpy(group) for group in crops_of(config)], compiled=contestant == COMPILED)


def tf_step(config: Config, *, model: Any = None, state: Any = None) -> Callable[[], float]:
    """Returns a function that makes one of our steps.

    Args:
        config: Config of the step.
        model: Model in place of the config's; None for the config's.
        state: Existing state; None for a new state.
    """
    import tensorflow as tf

    from seer_tf.methods.swav.state import TrainState
    from seer_tf.methods.swav.step import train_step

    state, crops = state or TrainState(config, model=model), tuple(map(tf.constant, crops_of(config)))
    step = tf.function(lambda: train_step(state, crops))
    return lambda: float(step()["loss"])


def _main(contestant: str, num_steps: str, *assignments: str) -> None:
    own_process.report(step_of(contestant, config_of(assignments)), int(num_steps))


if __name__ == "__main__":
    _main(*sys.argv[1:])
