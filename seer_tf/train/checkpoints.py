"""Checkpoints: a flat map from variable name to tensor, written atomically, and models read back from them.

`tf.train.Checkpoint` writes to a temporary name and renames; every tensor carries a checksum that is verified when it
is read. It is given variables, by name: handed Keras objects it silently leaves out layers held in lists.
"""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Mapping

import tensorflow as tf

from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.models.swav_model import SwavModel
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState, initial_model, model_variables


class Checkpoints:
    """The checkpoints of one run, the last few of which are kept."""

    def __init__(self, directory: pathlib.Path, state: TrainState) -> None:
        """Looks at what is there.

        Args:
            directory: of the checkpoints; made when the first is written.
            state: what is saved and restored.
        """
        self._state = state
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**{_ROOT: state.named_variables()}),
            str(directory),
            max_to_keep=state.config.run.keep_checkpoints,
            checkpoint_name="step",
        )

    def save(self) -> str:
        """Writes the state under its step, removes what is too old, and returns the new checkpoint's path.

        Raises:
            InputError: it cannot be written; those before it are as they were.
        """
        try:
            return self._manager.save(checkpoint_number=int(self._state.step.numpy()))
        except tf.errors.OpError as error:
            self._remove_unfinished()
            reason = error.message.rpartition("; ")[2].partition(" [Op:")[0]
            raise InputError(
                f"no checkpoint can be written to {self._manager.directory} ({reason}); make room, then the same "
                "command continues from the newest one"
            ) from None

    def restore_latest(self) -> int:
        """Restores the newest checkpoint, if there is one, and returns the step that the state is at.

        Raises:
            InputError: the newest checkpoint is damaged, or belongs to another network.
        """
        self._remove_unfinished()
        if self._manager.latest_checkpoint:
            _restore(self._state.named_variables(), self._manager.latest_checkpoint)
        return int(self._state.step.numpy())

    def _remove_unfinished(self) -> None:
        """Removes what a process that died while it wrote a checkpoint has left."""
        for unfinished in pathlib.Path(self._manager.directory).glob("*_temp"):
            shutil.rmtree(unfinished)


def load_model(run_dir: str | os.PathLike[str], *, untrained: bool = False) -> tuple[Config, SwavModel]:
    """Returns the config and the model of a run, in float32 on one device.

    Args:
        run_dir: directory of the run.
        untrained: whether to return the initial weights of the run's seed instead of the newest checkpoint.

    Raises:
        InputError: the directory is not one of a run, or has no readable checkpoint.
    """
    directory = RunDirectory(run_dir)
    config = directory.read_config()
    model = initial_model(_in_float32(config))
    if not untrained:
        latest = tf.train.latest_checkpoint(str(directory.checkpoints))
        if latest is None:
            raise InputError(f"{directory.path} has no checkpoint yet; let experiments/pretrain.py write one")
        _restore(model_variables(model), latest)
    return config, model


_ROOT = "state"


def _in_float32(config: Config) -> Config:
    return dataclasses.replace(config, run=dataclasses.replace(config.run, precision="float32"))


def _restore(variables: Mapping[str, tf.Variable], path: str) -> None:
    """Assigns every variable its tensor of a checkpoint, or none of them one."""
    try:
        reader = tf.train.load_checkpoint(path)
        tensors = {name: reader.get_tensor(_key(name)) for name in variables}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:  # TensorFlow raises any of these
        raise InputError(
            f"the checkpoint {path} cannot be read ({str(error).splitlines()[0]}); remove its files to use the "
            "one before"
        ) from None
    for name, variable in variables.items():
        if tensors[name].shape != variable.shape:
            raise InputError(
                f"the checkpoint {path} is of another network: {name} has shape {tensors[name].shape} there and "
                f"{tuple(variable.shape)} here"
            )
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _key(name: str) -> str:
    """Returns the key under which `tf.train.Checkpoint` keeps a variable of the map."""
    return f"{_ROOT}/{name.replace('.', '..').replace('/', '.S')}/.ATTRIBUTES/VARIABLE_VALUE"
