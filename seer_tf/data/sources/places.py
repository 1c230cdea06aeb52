"""The places that a config names: images, lists of images, and what a run starts from."""

import os
from collections.abc import Mapping, Sequence

from seer_tf import config as configs
from seer_tf.config import AnyConfig, BaseConfig
from seer_tf.data.sources import registry
from seer_tf.files import storage

#: Fields that hold a data spec.
DATA = ("data.source", "data.train", "data.test")
#: Fields that hold a path; empty where there is none.
PATHS = ("data.subset_list", "run.init_from", "backbone.weights")
_VARIANT = "backbone.variant"


def with_absolute_places(config: AnyConfig) -> AnyConfig:
    """Returns a config that means the same in every working directory: relative paths are those of the present one.

    Args:
        config: Config of a run of any kind.
    """
    found = {field: registry.absolute(flag) for field, flag in data(config).items()}
    found |= {field: _absolute(path) for field, path in _paths(config).items()}
    return moved(config, found)


def moved(config: AnyConfig, places: Mapping[str, str]) -> AnyConfig:
    """Returns a config with other places, by field."""
    return configs.replace(config, places)


def data(config: BaseConfig) -> dict[str, str]:
    """Returns the data specs of a config, by field."""
    return _named(config, DATA)


def named(config: BaseConfig) -> dict[str, str]:
    """Returns all places that a config names, by field."""
    return data(config) | _paths(config)


def _paths(config: BaseConfig) -> dict[str, str]:
    """Returns the paths of a config, by field; the name of a network is a path if it is a `.keras` file."""
    variants = {field: name for field, name in _named(config, (_VARIANT,)).items() if name.endswith(".keras")}
    return _named(config, PATHS) | variants


def _named(config: BaseConfig, fields: Sequence[str]) -> dict[str, str]:
    values = configs.to_texts(config)
    return {field: values[field] for field in fields if values.get(field)}


def _absolute(path: str) -> str:
    return path if storage.is_remote(path) else os.path.abspath(path)
