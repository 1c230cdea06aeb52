"""Warm start: a new run takes the values of another run or of a converted model in place of random values."""

import contextlib
import pathlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from seer_tf.config import PARTS_TO_RESET, BaseConfig, PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet import published
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.models.keras_file import read_keras_file
from seer_tf.quantities import counted
from seer_tf.training.checkpoints import OtherNetworkError, licence, restore, restore_newest
from seer_tf.training.run_directory import RunDirectory, check_exists
from seer_tf.training.state import RunState

#: Beginnings of the names of a network's variables in a state.
_NETWORKS = ("model/", "momentum_encoder/")


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


def _warm_start(state: RunState) -> None:
    """Gives a new state the values from `run.init_from`, except for the parts that `run.reset` names.

    If `run.init_from` is a run or one of its checkpoints, the new run continues it with its velocities, at its position
    in the schedule and in the data. If it is a directory from `experiments/convert_checkpoint.py` or a backbone in a
    `.keras` file, the backbone and, if there is one, the head come from there; all other parts start fresh.
    """
    run, source = state.config.run, pathlib.Path(state.config.run.init_from)
    wanted = {name: variable for name, variable in state.named_variables().items() if not _parts(name) & set(run.reset)}
    try:
        state.model.licence = _take(wanted, source, type(state.config))
    except InputError as error:
        raise InputError(f"`run.init_from={source}`: {error}") from None
    step = int(state.step.numpy())
    if step >= run.num_steps:
        raise InputError(
            f"`run.init_from={source}` has already made {counted(step, 'step')}: add `run.reset=schedule` to start "
            f"from its weights at step 0, or set run.num_steps to more than {step}"
        )


def _take(wanted: dict[str, tf.Variable], source: pathlib.Path, kind: type[BaseConfig]) -> str:
    """Assigns the values at a path, of any supported kind, to the variables, and returns their licence."""
    check_exists(source)
    if (source / "config.json").exists():
        directory = RunDirectory(source)
        directory.read_config_of(kind)  # raises for a damaged config or one from a newer version
        with _reset_suggested():
            newest = restore_newest(wanted, directory, strict=False)
            if newest is None:
                raise InputError("the run has no checkpoint yet")
            return licence(newest)
    if source.name.startswith("step-"):
        with _reset_suggested():
            restore(wanted, source, strict=False)
            return licence(source)
    if source.suffix == ".keras" or (source / "model.keras").exists():
        file = source if source.suffix == ".keras" else source / "model.keras"
        backbone = read_keras_file(file)
        with _reset_suggested():
            _take_converted(wanted, _converted(backbone, file.with_name("swav_head.keras")))
            return getattr(backbone, "licence", "") or published.licence_beside(file)
    raise InputError(
        "this is neither a run nor RUN/checkpoints/step-N nor a .keras file nor a directory with model.keras; give one "
        "of these"
    )


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
