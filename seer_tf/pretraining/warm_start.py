"""Warm start: a new run takes the values of another run or of a converted model in place of random values."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import PARTS_TO_RESET, PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.models import Backbone
from seer_tf.models.backbones.regnet import published
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.models.keras_file import read_keras_file
from seer_tf.pretraining.registry import read_config
from seer_tf.quantities import counted
from seer_tf.training.checkpoints import OtherNetworkError, licence, restore, restore_newest
from seer_tf.training.run_directory import RunDirectory, check_exists
from seer_tf.training.state import RunState

#: Beginnings of the names of a network's variables in a state.
_MODEL, _MOMENTUM_ENCODER = _NETWORKS = ("model/", "momentum_encoder/")


def initialize(state: RunState) -> None:
    """Gives a new state the weights that its config names, if it names any: `backbone.weights` or `run.init_from`.

    Args:
        state: State of a run that has made no step.

    Raises:
        InputError: A path cannot be read, it holds another network, or no steps are left to make.
    """
    config = state.config
    if isinstance(config, PretrainingConfig) and config.backbone.weights:
        state.model.backbone.take_weights(pathlib.Path(config.backbone.weights))
    if config.run.init_from:
        _warm_start(state)


def fields_of(source: str) -> dict[str, Any]:
    """Returns the fields of a config that a network to start from decides: its architecture and its normalisation.

    The stride of the stem is not among them, because it changes no weight.

    Args:
        source: As for `run.init_from`.

    Raises:
        InputError: There is no network, or it cannot be read.
    """
    path = pathlib.Path(source)
    with _named(path):
        if (run := _run_of(path)) is not None:
            config = read_config(run)
            return {
                "backbone.variant": config.backbone.variant,
                "crops.mean": config.crops.mean,
                "crops.std": config.crops.std,
            }
        backbone = read_keras_file(_keras_file(path))
        if not isinstance(backbone, Backbone):
            raise InputError(f"the file holds a {type(backbone).__name__} and no backbone; give one with a backbone")
        return {"backbone.variant": backbone.variant}


def _warm_start(state: RunState) -> None:
    """Gives a new state the values from `run.init_from`, except for the parts that `run.reset` names.

    If `run.init_from` is a run or one of its checkpoints, the new run continues it with its velocities, at its position
    in the schedule and in the data. If it is a directory from `experiments/convert_checkpoint.py` or a backbone in a
    `.keras` file, the backbone and, if there is one, the head come from there; all other parts start fresh. After a run
    of another method, the momentum encoder is a copy of the network.
    """
    run, source = state.config.run, pathlib.Path(state.config.run.init_from)
    variables = state.named_variables()
    wanted = {name: variable for name, variable in variables.items() if not _parts(name) & set(run.reset)}
    with _named(source):
        start = _run_of(source)
        is_copied = start is not None and start.method() != state.config.method
        copied = [name for name in variables if is_copied and name.startswith(_MOMENTUM_ENCODER)]
        state.model.licence = _take({name: wanted[name] for name in wanted if name not in copied}, source, start)
    for name in copied:
        variables[name].assign(variables[_MODEL + name.removeprefix(_MOMENTUM_ENCODER)])
    step = int(state.step.numpy())
    if step >= run.num_steps:
        raise InputError(
            f"`run.init_from={source}` has already made {counted(step, 'step')}: add `run.reset=schedule` to start "
            f"from its weights at step 0, or set run.num_steps to more than {step}"
        )


def _take(wanted: dict[str, tf.Variable], source: pathlib.Path, run: RunDirectory | None) -> str:
    """Assigns the values at a path, of any supported kind, to the variables, and returns their licence.

    Args:
        wanted: Variables by their names in a state.
        source: Path.
        run: Run at this path, or of the checkpoint at this path; None if there is none.
    """
    if run is None:
        file = _keras_file(source)
        backbone = read_keras_file(file)
        with _reset_suggested():
            _take_converted(wanted, _converted(backbone, file.with_name("swav_head.keras")))
            return getattr(backbone, "licence", "") or published.licence_beside(file)
    with _reset_suggested():
        if source != run.path:
            restore(wanted, source, strict=False)
            return licence(source)
        read_config(run)  # raises for a damaged config or one from a newer version
        newest = restore_newest(wanted, run, strict=False)
        if newest is None:
            raise InputError("the run has no checkpoint yet")
        return licence(newest)


def _run_of(source: pathlib.Path) -> RunDirectory | None:
    """Returns the run at a path, or that of the checkpoint at this path; None if there is none.

    Raises:
        InputError: There is nothing at the path.
    """
    check_exists(source)
    run = RunDirectory(source.parent.parent if source.name.startswith("step-") else source)
    return run if run.holds_a_run() else None


def _keras_file(source: pathlib.Path) -> pathlib.Path:
    """Returns the file of a backbone."""
    if source.suffix == ".keras":
        return source
    if (source / "model.keras").exists():
        return source / "model.keras"
    raise InputError(
        "this is neither a run nor RUN/checkpoints/step-N nor a .keras file nor a directory with model.keras; give one "
        "of these"
    )


@contextlib.contextmanager
def _named(source: pathlib.Path) -> Iterator[None]:
    """Names the path in errors."""
    try:
        yield
    except InputError as error:
        raise InputError(f"`run.init_from={source}`: {error}") from None


@contextlib.contextmanager
def _reset_suggested() -> Iterator[None]:
    try:
        yield
    except OtherNetworkError as error:
        parts = ", ".join(PARTS_TO_RESET)
        raise InputError(
            f"{error}; give the config of that run, or name the parts that differ in `run.reset` ({parts})"
        ) from None


def _parts(name: str) -> set[str]:
    """Returns the parts that a variable of a state belongs to, by its name; backbone weights belong to no part."""
    if name in ("step", "lars/iterations", "sgd/iterations") or name.startswith("schedule/"):
        return {"schedule"}
    weight = name
    for owner in (*_NETWORKS, "lars/velocity/", "sgd/velocity/"):
        weight = weight.removeprefix(owner)
    if weight.startswith("queue/"):
        return {"queue", "head"}
    is_head = weight.startswith(("head/", "predictor/"))
    parts = {"prototypes"} if weight == "head/prototypes" else {"head"} if is_head else set()
    return parts if name.startswith(_NETWORKS) else parts | {"optimizer"}


def _converted(backbone: keras.Model, head_file: pathlib.Path) -> dict[str, keras.Variable]:
    """Returns the variables of a backbone and, if its file exists, of the head, by their names in a state."""
    found = {f"{network}{variable.path}": variable for network in _NETWORKS for variable in backbone.variables}
    if head_file.exists():
        for layer in read_keras_file(head_file).layers:
            if isinstance(layer, SwavHead):
                paths = [variable.path.rpartition(f"{layer.name}/")[2] for variable in layer.variables]
                found |= {f"model/head/{path}": value for path, value in zip(paths, layer.variables, strict=True)}
    return found


def _take_converted(wanted: dict[str, tf.Variable], found: dict[str, keras.Variable]) -> None:
    """Assigns all variables of the backbone, and the variables of the head that are found."""
    backbone = {name for name in wanted if name.startswith(_NETWORKS) and not _parts(name)}
    for name in sorted(backbone | (found.keys() & wanted.keys())):
        if name not in found:
            raise OtherNetworkError(f"the file has no {name.removeprefix('model/')}, so it holds another network")
        if tuple(found[name].shape) != tuple(wanted[name].shape):
            raise OtherNetworkError(
                f"{name.removeprefix('model/')} has shape {tuple(found[name].shape)} in the file and "
                f"{tuple(wanted[name].shape)} in this run"
            )
    for name in found.keys() & wanted.keys():
        wanted[name].assign(tf.cast(found[name].value, wanted[name].dtype))
