"""Small runs of the methods that compare two views of an image. The tests of these methods share them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config.two_views import TwoViewConfig
from seer_tf.methods.byol.state import ByolState
from seer_tf.methods.byol.step import train_step as byol_step
from seer_tf.methods.moco.state import MocoState
from seer_tf.methods.moco.step import train_step as moco_step
from seer_tf.methods.simclr.state import SimclrState
from seer_tf.methods.simclr.step import train_step as simclr_step
from seer_tf.pretraining.registry import recipe
from seer_tf.training.state import RunState
from tests.small_networks import random_crops, shared_out, small_projection_model

NUM_IMAGES = 8
Build = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class SmallMethod:
    """A method whose states have a small network.

    Attributes:
        recipe: Recipe for small images.
        state: Type of the state. It takes a config and a function like `build_projection_model`.
        step: Step of the method.
        settings: Assignments in addition to crops of 8 px and a short run.
    """

    recipe: str
    state: Callable[[Any, Build], RunState]
    step: Callable[[Any, Any], dict[str, tf.Tensor]]
    settings: tuple[str, ...] = ()

    def config(self, *assignments: str) -> TwoViewConfig:
        """Returns a config with crops of 8 px and a run of 20 steps, in float64 by default."""
        small = ("crops.sizes_px=8", f"data.global_batch_size={NUM_IMAGES}", "head.hidden_dims=12")
        short = ("head.embedding_dim=6", "run.num_steps=20", "schedule.warmup_steps=0", "run.precision=float64")
        config = configs.override(recipe(self.recipe), [*small, *short, *self.settings, *assignments])
        assert isinstance(config, TwoViewConfig)
        return configs.validate(config)

    def build(self, config: TwoViewConfig, strategy: tf.distribute.Strategy | None = None) -> RunState:
        """Returns a state with a small network."""
        with (strategy or tf.distribute.get_strategy()).scope():
            return self.state(config, small_projection_model)

    def after(
        self, strategy: tf.distribute.Strategy, num_steps: int = 3, *assignments: str
    ) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
        """Returns all variables after some steps, by name, and the metrics of each step."""
        config = self.config(*assignments)
        state = self.build(config, strategy)
        step = tf.function(lambda crops: strategy.run(self.step, args=(state, crops)), autograph=False)
        numbers = []
        for number in range(num_steps):
            found = step(shared_out(random_crops(config, NUM_IMAGES, number), strategy))
            local = {name: strategy.experimental_local_results(value)[0] for name, value in found.items()}
            numbers.append({name: float(value) for name, value in local.items()})
        return snapshot(state), numbers


METHODS = {
    "simclr": SmallMethod("simclr_cifar10", SimclrState, simclr_step),
    "moco": SmallMethod("moco_v2_cifar10", MocoState, moco_step, ("moco.queue_length=24", "moco.momentum=0.9")),
    "byol": SmallMethod("byol_cifar10", ByolState, byol_step, ("byol.predictor_dims=10", "byol.momentum=0.9")),
}


def snapshot(state: RunState) -> dict[str, np.ndarray]:
    """Returns the values of all variables by name."""
    return {name: variable.numpy() for name, variable in state.named_variables().items()}


def distances(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the largest difference of each variable, relative to its largest value."""
    assert found.keys() == expected.keys()
    return {
        name: float(np.max(np.abs(found[name] - value), initial=0) / max(np.max(np.abs(value), initial=0), 1e-3))
        for name, value in expected.items()
    }
