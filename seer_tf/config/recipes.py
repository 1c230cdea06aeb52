"""Recipes: functions that each return a whole config, by name."""

import dataclasses
from collections.abc import Callable, Mapping

from seer_tf.config.common import AnyConfig
from seer_tf.errors import InputError

IMAGENET_IMAGES = 1_281_167


def by_name(*recipes: Callable[[], AnyConfig]) -> dict[str, Callable[[], AnyConfig]]:
    """Returns recipes by the names of their functions."""
    return {recipe.__name__: recipe for recipe in recipes}


def find_recipe(recipes: Mapping[str, Callable[[], AnyConfig]], name: str) -> AnyConfig:
    """Returns the config of a recipe, with the recipe's name in it.

    Raises:
        InputError: The recipe does not exist; the message lists the valid names and suggests the most similar one.
    """
    if name not in recipes:
        raise InputError.unknown("recipe", name, recipes)
    return dataclasses.replace(recipes[name](), recipe=name)


def imagenet_steps(epochs: int, *, global_batch_size: int) -> int:
    """Returns the number of whole batches in some epochs of ImageNet; batches go on over the ends of epochs."""
    return epochs * IMAGENET_IMAGES // global_batch_size
