"""The methods that a run of pretraining can learn by."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from seer_tf.config import Config, PretrainingConfig
from seer_tf.config.recipes import find_recipe
from seer_tf.methods.byol import collapse as byol_collapse
from seer_tf.methods.byol import recipes as byol_recipes
from seer_tf.methods.byol.config import ByolConfig
from seer_tf.methods.byol.cost import ByolCost
from seer_tf.methods.byol.state import ByolState
from seer_tf.methods.byol.state import initial_model as initial_byol_model
from seer_tf.methods.byol.step import train_step as byol_step
from seer_tf.methods.moco import collapse as moco_collapse
from seer_tf.methods.moco import recipes as moco_recipes
from seer_tf.methods.moco.config import MocoConfig
from seer_tf.methods.moco.cost import MocoCost
from seer_tf.methods.moco.state import MocoState
from seer_tf.methods.moco.step import train_step as moco_step
from seer_tf.methods.simclr import collapse as simclr_collapse
from seer_tf.methods.simclr import recipes as simclr_recipes
from seer_tf.methods.simclr.config import SimclrConfig
from seer_tf.methods.simclr.cost import SimclrCost
from seer_tf.methods.simclr.state import SimclrState
from seer_tf.methods.simclr.step import train_step as simclr_step
from seer_tf.methods.swav import collapse as swav_collapse
from seer_tf.methods.swav.cost import SwavCost
from seer_tf.methods.swav.model import check_images
from seer_tf.methods.swav.state import TrainState, initial_model
from seer_tf.methods.swav.step import train_step
from seer_tf.models.encoder import Encoder
from seer_tf.models.heads.cost import MethodCost
from seer_tf.models.projection_model import build_projection_model
from seer_tf.pretraining import recipes as swav_recipes
from seer_tf.pretraining.logger import ByolLogger, MocoLogger, PretrainingLogger, SimclrLogger, SwavLogger
from seer_tf.registry import Registry
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState


def _any_number(config: Any, num_images: int) -> None:
    """Passes every number of images."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of pretraining.

    Attributes:
        config: Type of its configs; its `method` is the name of the method.
        model: Takes a config; returns the model, an `Encoder`, with the initial weights that `run.seed` determines.
        state: Takes a config; returns what a step changes. It is called inside the scope of the strategy.
        step: Takes the state and one replica's slice of a batch; returns scalars by name, equal on every replica.
            They are those of `training.step.finish_step`, `training.metrics.MEAN_PIXEL`, and others with a slash in
            their names, which are logged.
        remedy: What to change if numbers are not finite.
        logger: Type of the log.
        check_images: Takes a config and the number of images; raises an `InputError` if they do not go together.
        cost: Takes a config; returns the method's part of a plan. None for a method that cannot be planned.
        recipes: Functions that return a config each, by the recipe's name.
    """

    config: type[PretrainingConfig]
    model: Callable[[Any], Encoder]
    state: Callable[[Any], RunState]
    step: Callable[[Any, Any], dict[str, tf.Tensor]]
    remedy: str
    logger: type[PretrainingLogger] = PretrainingLogger
    check_images: Callable[[Any, int], None] = _any_number
    cost: Callable[[Any], MethodCost] | None = None
    recipes: Mapping[str, Callable[[], PretrainingConfig]] = dataclasses.field(default_factory=dict)


_OF_THIS_PACKAGE = (
    Method(
        Config,
        initial_model,
        TrainState,
        train_step,
        swav_collapse.REMEDY,
        SwavLogger,
        check_images,
        SwavCost,
        swav_recipes.RECIPES,
    ),
    Method(
        SimclrConfig,
        build_projection_model,
        SimclrState,
        simclr_step,
        simclr_collapse.REMEDY,
        SimclrLogger,
        cost=SimclrCost,
        recipes=simclr_recipes.RECIPES,
    ),
    Method(
        MocoConfig,
        build_projection_model,
        MocoState,
        moco_step,
        moco_collapse.REMEDY,
        MocoLogger,
        cost=MocoCost,
        recipes=moco_recipes.RECIPES,
    ),
    Method(
        ByolConfig,
        initial_byol_model,
        ByolState,
        byol_step,
        byol_collapse.REMEDY,
        ByolLogger,
        cost=ByolCost,
        recipes=byol_recipes.RECIPES,
    ),
)
_METHODS = Registry("pretraining method", {method.config.method: method for method in _OF_THIS_PACKAGE})
find_method = _METHODS.find


def register(method: Method) -> None:
    """Adds a method, so that `pretrain` takes its configs.

    Raises:
        ValueError: There is a method of that name.
    """
    _METHODS.register(method.config.method, method)


def recipes() -> dict[str, Callable[[], PretrainingConfig]]:
    """Returns the recipes of all methods by name."""
    return {name: recipe for method in _METHODS.values() for name, recipe in method.recipes.items()}


def recipe(name: str) -> PretrainingConfig:
    """Returns the config of a recipe of any method, with the recipe's name in it.

    Raises:
        InputError: The recipe does not exist.
    """
    return find_recipe(recipes(), name)


def read_config(directory: RunDirectory) -> PretrainingConfig:
    """Returns the config of a pretraining run, of the type of its method.

    Raises:
        InputError: `RunDirectory.read_config_of` raises it, or the method is not registered.
    """
    return directory.read_config_of(find_method(directory.method()).config)
