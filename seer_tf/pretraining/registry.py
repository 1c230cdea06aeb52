"""The methods that a run of pretraining can learn by."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from seer_tf.config import Config, PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.methods.swav.model import check_images
from seer_tf.methods.swav.state import TrainState, initial_model
from seer_tf.methods.swav.step import train_step
from seer_tf.models.encoder import Encoder
from seer_tf.pretraining.logger import PretrainingLogger, SwavLogger
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
    """

    config: type[PretrainingConfig]
    model: Callable[[Any], Encoder]
    state: Callable[[Any], RunState]
    step: Callable[[Any, Any], dict[str, tf.Tensor]]
    remedy: str
    logger: type[PretrainingLogger] = PretrainingLogger
    check_images: Callable[[Any, int], None] = _any_number


_METHODS = {
    Config.method: Method(
        Config,
        initial_model,
        TrainState,
        train_step,
        "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or swav.epsilon",
        SwavLogger,
        check_images,
    )
}


def register(method: Method) -> None:
    """Adds a method, so that `pretrain` takes its configs.

    Raises:
        ValueError: There is a method of that name.
    """
    name = method.config.method
    if name in _METHODS:
        raise ValueError(f"there is a pretraining method named {name} already")
    _METHODS[name] = method


def find_method(name: str) -> Method:
    """Returns the method of a name, e.g. of `config.method`.

    Raises:
        InputError: There is no such method.
    """
    if name not in _METHODS:
        raise InputError.unknown("pretraining method", name, _METHODS)
    return _METHODS[name]
