"""The features that a run names as its own, and the whitening of all stages, which is fitted to the run's images.

A complete run keeps the whitening of its last checkpoint and of its untrained network in `all_stages/`, each under the
digest of its weights. For other checkpoints, and where a file is missing or damaged, the whitening is fitted again to
the run's images, without labels.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from seer_tf.config import PretrainingConfig
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.part import Part, training_images
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import feature_batches, model_digest
from seer_tf.evaluation.features.stages import StageFeatures
from seer_tf.files.atomic import write_atomically
from seer_tf.models import Encoder, all_stages
from seer_tf.models.all_stages import AllStages
from seer_tf.models.stage_maps import AVGPOOL, in_order, stage_maps
from seer_tf.networks.pretrained import load_model, read_config
from seer_tf.training.run_directory import RunDirectory

_NUM_IMAGES = 2000
_BATCH_SIZE = 64


def own_stage(model: str) -> str:
    """Returns the name of the features that a model's run names as its own, or else `AVGPOOL`."""
    directory = _run_of(model)
    return AVGPOOL if directory is None else read_config(directory).backbone.features


def whitened_stages(model: str, encoder: Encoder) -> AllStages:
    """Returns the layer for features of all stages of a run's network.

    Args:
        model: A run or one of its checkpoints.
        encoder: The network, trained or not.

    Raises:
        InputError: The model belongs to no run, or the layer is not kept for these weights and the run's images cannot
            be read.
    """
    directory = _run_of(model)
    if directory is None:
        raise InputError(f"{model} is no pretraining run, so it names no images for features of all stages")
    kept = _kept(_file(directory, encoder))
    if kept is not None:
        return kept
    config = read_config(directory)
    try:
        source = training_images(config.data)
    except InputError as error:
        raise InputError(f"features of all stages are fitted to the run's images: {error}") from None
    return fit_to_images(encoder, source, config)


def keep_whitened_stages(directory: RunDirectory, source: Source) -> None:
    """Fits the layers of a run's newest checkpoint and of its untrained network, and keeps those that are not kept yet.

    Args:
        directory: Run directory.
        source: Images of the run.

    Raises:
        InputError: The images cannot be read, or the directory cannot be written.
    """
    for untrained in (False, True):
        config, encoder = load_model(directory.path, untrained=untrained)
        file = _file(directory, encoder)
        if _kept(file) is None:
            _keep(fit_to_images(encoder, source, config), file)


def fit_to_images(encoder: Encoder, source: Source, config: PretrainingConfig) -> AllStages:
    """Returns the layer for features of all stages, fitted to at most 2,000 images at even distances.

    Args:
        encoder: Backbone and normalisation.
        source: Images; their labels are not read.
        config: Config of the run; its largest crops are the size of the images.

    Raises:
        InputError: Fewer than two images can be read.
    """
    chosen = usable(Part(source, min(source.num_images, _NUM_IMAGES)))
    if chosen.num_images < 2:
        raise InputError("features of all stages are fitted to two readable images or more")
    images = images_dataset(chosen, Transform(config.crops.sizes_px[0]), batch_size=_BATCH_SIZE)
    batches = feature_batches(stage_statistics(encoder), images, chosen.ids, label="whitening")
    return fit_to_rows(encoder, np.concatenate([batch[all_stages.NAME] for batch in batches]))


def fit_to_rows(encoder: Encoder, rows: np.ndarray) -> AllStages:
    """Returns the layer fitted to the statistics of some images, float32 [N, S]."""
    outputs = stage_maps(encoder.backbone).output
    return all_stages.fitted(rows, [output.shape[-1] for output in in_order(encoder.backbone, outputs)])


def stage_statistics(encoder: Encoder) -> StageFeatures:
    """Returns a function from images, uint8 [B, s, s, 3], to the statistics of all stages, float32 [B, S], by name."""
    maps = stage_maps(encoder.backbone)

    def of(images: tf.Tensor) -> dict[str, tf.Tensor]:
        of_stage = maps(encoder.normalize(images), training=False)
        return {all_stages.NAME: all_stages.statistics(in_order(encoder.backbone, of_stage))}

    return of


def _run_of(model: str) -> RunDirectory | None:
    """Returns the directory of the pretraining run that a model belongs to; None if it belongs to none.

    Args:
        model: A run, one of its checkpoints, or any other model.
    """
    for path in (Path(model), Path(model).parent.parent):
        directory = RunDirectory(path)
        if directory.holds_a_run() and directory.kind() == PretrainingConfig.kind:
            return directory
    return None


def _file(directory: RunDirectory, encoder: Encoder) -> Path:
    return directory.all_stages / f"{model_digest(encoder)}.npz"


def _keep(layer: AllStages, file: Path) -> None:
    mean, projection = layer.get_weights()
    content = io.BytesIO()
    np.savez(content, mean=mean, projection=projection)
    try:
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, content.getvalue())
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}); make room or give permission") from None


def _kept(file: Path) -> AllStages | None:
    """Returns the layer in a file; None if there is no file, or it is damaged."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            return all_stages.of_weights({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
