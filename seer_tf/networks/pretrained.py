"""The model of a pretraining run, from one of the run's checkpoints."""

import os
import pathlib

from seer_tf.config import PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.models.encoder import Encoder
from seer_tf.pretraining.registry import find_method
from seer_tf.pretraining.registry import read_config as read_config  # for packages that may not import pretraining
from seer_tf.training.checkpoints import in_float32, licence, restore, restore_newest
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import model_variables


def load_model(
    run_dir: str | os.PathLike[str], *, untrained: bool = False, checkpoint: str | os.PathLike[str] | None = None
) -> tuple[PretrainingConfig, Encoder]:
    """Returns the config and the model of a run, in float32 on one device.

    Args:
        run_dir: Directory of the run.
        untrained: Whether to return the initial weights from the run's seed instead of a checkpoint's weights.
        checkpoint: Checkpoint of the run, e.g. `RUN/checkpoints/step-500`; None for the newest.

    Raises:
        InputError: The directory is not a run directory, or has no readable checkpoint.
    """
    directory = RunDirectory(run_dir)
    config = read_config(directory)
    model = find_method(config.method).model(in_float32(config))
    if untrained:
        return config, model
    if checkpoint is not None:
        found = pathlib.Path(checkpoint)
        restore(model_variables(model), found, strict=False)
    elif (newest := restore_newest(model_variables(model), directory, strict=False)) is not None:
        found = newest
    else:
        raise InputError(f"{directory.path} has no checkpoint yet; let experiments/pretrain.py write one")
    model.licence = licence(found)
    return config, model
