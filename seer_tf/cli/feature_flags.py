"""Features: of which model, of which stages, of images prepared how."""

import dataclasses
from pathlib import Path

import tensorflow as tf
from absl import flags

from seer_tf.data.images.transform import Transform
from seer_tf.distributed.inference import Devices
from seer_tf.distributed.strategy import make_strategy, num_gpus, place
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.pixels import PIXEL_FEATURES, pixel_features
from seer_tf.evaluation.features.stages import AVGPOOL, Pooling, poolings, stage_features
from seer_tf.models import Encoder
from seer_tf.networks.load import load_network
from seer_tf.networks.pretrained import load_model

MODEL = flags.DEFINE_string(
    "model",
    None,
    "A run, one of its checkpoints (RUN/checkpoints/step-500), what convert_checkpoint.py wrote, or a .keras file.",
)
flags.DEFINE_alias("run_dir", "model")
UNTRAINED = flags.DEFINE_bool("untrained", False, "Takes the run's network with its initial weights instead.")
PIXELS = flags.DEFINE_string(
    "pixels", None, f"Takes features of pixels instead of a model: {', '.join(PIXEL_FEATURES)}."
)
STAGES = flags.DEFINE_list(
    "stages", None, "Some of avgpool, res2, res3 …, pooled as VISSL does. [avgpool; of stored features all]"
)
SIZE_PX = flags.DEFINE_integer("size_px", None, "Side of the centre crop. [the model's own]", lower_bound=1)
SQUASH = flags.DEFINE_bool("squash", False, "Squeezes whole images into the square instead of cropping.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images at once.", lower_bound=1)

_PIXELS_SIZE_PX = 64
_UNTRAINED = ", untrained"


def is_given() -> bool:
    """Returns whether the flags name a model or features of pixels."""
    return MODEL.value is not None or PIXELS.value is not None


def extractor(num_devices: int | None = None) -> Extractor:
    """Returns what makes the features that the flags ask for.

    Args:
        num_devices: of this host; None for all GPUs, else one.

    Raises:
        InputError: neither or both of --model and --pixels are given, or what they name cannot be used.
    """
    model, pixels = MODEL.value, PIXELS.value
    devices = Devices(make_strategy(place("auto", num_devices, None, num_gpus=num_gpus())))
    if pixels is not None and model is None:
        return _of_pixels(pixels, devices)
    if pixels is not None or model is None:
        raise InputError("give either --model for the features of a network or --pixels for those of pixels")
    with devices.scope():
        encoder, transform, step = open_model(model)
        stages = STAGES.value or [AVGPOOL]
        pooled = poolings(encoder.backbone, stages, size_px=transform.size_px)
        features = stage_features(encoder, pooled)
    digest = model_digest(encoder)
    name = f"{model}{_UNTRAINED}" if UNTRAINED.value else model
    return Extractor(features, pooled, name, digest, transform, BATCH_SIZE.value, devices, step)


def run_directory(model: str) -> Path | None:
    """Returns the directory of the run that features are of; None where they are of no run.

    Args:
        model: what features call it, theirs being of a trained network or an untrained one.
    """
    directory = Path(model.removesuffix(_UNTRAINED))
    return directory if (directory / "config.json").is_file() else None


def open_model(model: str) -> tuple[Encoder, Transform, int | None]:
    """Returns the network of --model, what images go through before they reach it, and its step where that is known.

    Raises:
        InputError: it cannot be opened, or has no initial weights to take.
    """
    if not UNTRAINED.value:
        network = load_network(model)
        return network, _asked(network.transform), network.metadata.get("training_steps")
    if run_directory(model) is None:
        raise InputError(f"--untrained needs the directory of a run, and {model} is none")
    config, network = load_model(model, untrained=True)
    return network, _asked(Transform(config.crops.sizes_px[0])), 0


def _of_pixels(name: str, devices: Devices) -> Extractor:
    features, transform = pixel_features(name), _asked(Transform(_PIXELS_SIZE_PX))
    dim = features(tf.zeros([1, 8, 8, 3], tf.uint8)).shape[-1]
    return Extractor(
        lambda images: {name: features(images)},
        {name: Pooling(1, 1, dim)},
        f"pixels, {name}",
        f"pixels-{name}",
        transform,
        BATCH_SIZE.value,
        devices,
    )


def _asked(transform: Transform) -> Transform:
    """Returns the transform of the model as the flags change it."""
    if SIZE_PX.value is not None:
        transform = transform.with_size(SIZE_PX.value)
    return dataclasses.replace(transform, squash=SQUASH.value)
