"""Opens a network from a run, a checkpoint of a run, a conversion, or a `.keras` file."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Any

from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models import Backbone
from seer_tf.models.backbones.regnet import published
from seer_tf.models.conversion import ConvertedNetwork
from seer_tf.models.keras_file import read_keras_file
from seer_tf.models.tasks.classifier import ImageClassifier
from seer_tf.networks.network import Network
from seer_tf.networks.pretrained import load_model
from seer_tf.training.run_directory import RunDirectory, check_exists

CLASSIFIER_FILE = "classifier.keras"
"""File with an `ImageClassifier` in the directory of a fine-tuning run, or with a classifier alone in a conversion."""

_TRANSFORM = Transform(224)  # for files that name no transform


def load_network(model: str | os.PathLike[str]) -> Network:
    """Opens a network with its head or classifier.

    Args:
        model: Directory of a run, one of its checkpoints (`RUN/checkpoints/step-500`), a directory that
            `convert_checkpoint.py` wrote, or a `.keras` file with an `ImageClassifier`, a `SwavModel` or a `Backbone`.

    Raises:
        InputError: The model is none of these, or cannot be read.
    """
    check_network(model)
    path = Path(model)
    if path.is_file():
        return _of_keras_model(path)
    if (path / "config.json").is_file():
        return _of_fine_tuning(path) if RunDirectory(path).kind() == FinetuneConfig.kind else _of_run(path)
    if (path / "model.keras").is_file():
        return _of_conversion(path)
    run_dir = path.parent.parent
    if RunDirectory(run_dir).kind() == FinetuneConfig.kind:
        raise InputError(f"{path} is a checkpoint of fine-tuning: give the directory of the finished run, {run_dir}")
    return _of_run(run_dir, path)


def check_network(model: str | os.PathLike[str]) -> None:
    """Checks that there is a network, without reading it.

    Args:
        model: As for `load_network`.

    Raises:
        InputError: There is no network.
    """
    path = Path(model)
    check_exists(path)
    run = RunDirectory(path.parent.parent)
    is_keras_file = path.is_file() and path.suffix == ".keras"
    is_directory_of_one = any((path / name).is_file() for name in ("config.json", "model.keras"))
    if not (is_keras_file or is_directory_of_one or (path.parent == run.checkpoints and run.holds_a_run())):
        raise InputError(
            f"{path} is no network: give the directory of a run, one of its checkpoints (RUN/checkpoints/step-500), a "
            "directory that convert_checkpoint.py wrote, or a .keras file"
        )


def _of_run(run_dir: Path, checkpoint: Path | None = None) -> Network:
    checkpoint = checkpoint or RunDirectory(run_dir).newest_checkpoint()
    config, model = load_model(run_dir, checkpoint=checkpoint)
    step = re.search(r"-(\d+)$", str(checkpoint))
    return Network(
        model.backbone,
        model.mean,
        model.std,
        Transform(config.crops.sizes_px[0]),
        head=model.head if isinstance(model, SwavModel) else None,
        metadata={
            **backbone_metadata(model.backbone),
            "recipe": config.recipe,
            "training_data": config.data.source,
            "training_steps": int(step[1]) if step else None,
        },
        data=config.data.source,
    )


def _of_fine_tuning(run_dir: Path) -> Network:
    config = RunDirectory(run_dir).read_config_of(FinetuneConfig)
    if not (run_dir / CLASSIFIER_FILE).is_file():
        raise InputError(
            f"{run_dir} is a fine-tuning run without {CLASSIFIER_FILE}: finish the run, or give the network from which "
            f"the run started, {config.run.init_from}"
        )
    network = _of_keras_model(run_dir / CLASSIFIER_FILE)
    account = {"recipe": config.recipe, "training_data": config.data.train, "training_steps": config.run.num_steps}
    return dataclasses.replace(network, metadata={**network.metadata, **account}, data=config.data.train)


def of_converted(converted: ConvertedNetwork) -> Network:
    """Returns the backbone of a conversion."""
    return Network(
        converted.backbone,
        converted.mean,
        converted.std,
        _released_transform(converted.release),
        metadata=converted.metadata(),
    )


def _of_conversion(directory: Path) -> Network:
    try:
        account = sealed_json.parse((directory / "metadata.json").read_bytes())
        variant = sealed_json.typed(account.get("variant"), str, "variant")
    except (OSError, sealed_json.DamagedJsonError):
        raise InputError(f"{directory} has no readable metadata.json; convert the checkpoint again") from None
    backbone = read_keras_file(directory / "model.keras")
    if not isinstance(backbone, Backbone):
        raise InputError(
            f"{directory / 'model.keras'} holds a {type(backbone).__name__} and no backbone, as in an export; give "
            "the network that was exported"
        )
    backbone.licence = backbone.licence or published.licence_beside(directory / "model.keras")
    head, classifier = (
        read_keras_file(directory / name) if (directory / name).is_file() else None
        for name in ("swav_head.keras", CLASSIFIER_FILE)
    )
    release = published.find(variant, fine_tuned=classifier is not None)
    return Network(
        backbone,
        release.mean if release else published.MEAN,
        release.std if release else published.STD,
        _released_transform(release),
        head=None if head is None else head.get_layer("head"),
        classifier=classifier,
        metadata={name: value for name, value in account.items() if name not in ("matched", "unused")},
    )


def _released_transform(release: published.PublishedModel | None) -> Transform:
    if release is None:
        return _TRANSFORM
    return Transform(release.input_size_px, release.resize_px, release.interpolation)


def _of_keras_model(path: Path) -> Network:
    model = read_keras_file(path)
    if isinstance(model, Backbone):
        model.licence = model.licence or published.licence_beside(path)
        return Network(model, published.MEAN, published.STD, _TRANSFORM, metadata=backbone_metadata(model))
    if not isinstance(model, (ImageClassifier, SwavModel)):
        raise InputError(
            f"{path} holds a {type(model).__name__}; give a file with an ImageClassifier, a SwavModel or a backbone"
        )
    network = Network(model.backbone, model.mean, model.std, _TRANSFORM, metadata=backbone_metadata(model.backbone))
    if isinstance(model, SwavModel):
        return dataclasses.replace(network, head=model.head)
    return dataclasses.replace(
        network, transform=Transform(**model.transform), classifier=model.classifier, class_names=model.class_names
    )


def backbone_metadata(backbone: Backbone) -> dict[str, Any]:
    """Returns the metadata that a backbone carries, as JSON types: `variant`, `stem_stride` and `licence`.

    If the first layer of the network converts normalised images to other pixels, `first_layer` names their kind.
    """
    fields = published.licence_fields(backbone.licence)
    first = {} if backbone.expects == "normalized" else {"first_layer": backbone.expects}
    return {"variant": backbone.variant, "stem_stride": backbone.stem_stride, **first, **fields}
