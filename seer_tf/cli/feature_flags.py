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
from seer_tf.training.run_directory import RunDirectory, check_exists

MODEL = flags.DEFINE_string(
    "model",
    None,
    "A run, one of its checkpoints (RUN/checkpoints/step-500), what convert_checkpoint.py wrote, or a .keras file.",
)
flags.DEFINE_alias("run_dir", "model")
UNTRAINED = flags.DEFINE_bool("untrained", False, "Takes the run's network with its initial weights instead.")
PIXELS = flags.DEFINE_string(
    "pixels",
    None,
    f"Takes features of pixels instead of those of a network: {', '.join(PIXEL_FEATURES)}. With --run_dir images are "
    "as large as for its network, and the result is kept with the run.",
)
STAGES = flags.DEFINE_list(
    "stages", None, "Some of avgpool, res2, res3 …, pooled as VISSL does. [avgpool; of stored features all]"
)
SIZE_PX = flags.DEFINE_integer("size_px", None, "Side of the network's square. [the model's own]", lower_bound=1)
SQUASH = flags.DEFINE_bool("squash", False, "Squeezes whole images into the square instead of cropping.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images at once.", lower_bound=1)

_PIXELS_SIZE_PX = 64
_UNTRAINED = ", untrained"


def is_given() -> bool:
    """Whether the flags name a model or features of pixels."""
    return MODEL.value is not None or PIXELS.value is not None


def extractor(num_devices: int | None = None, *, untrained: bool | None = None) -> Extractor:
    """Returns what makes the features that the flags ask for.

    Args:
        num_devices: Number of devices in this host; None for all GPUs, else one.
        untrained: Whether the network has its initial weights; None for what --untrained says.

    Raises:
        InputError: neither --model nor --pixels is given, or what they name cannot be used.
    """
    model, untrained = MODEL.value, UNTRAINED.value if untrained is None else untrained
    devices = Devices(make_strategy(place("auto", num_devices, None, num_gpus=num_gpus())))
    if PIXELS.value is not None:
        return _of_pixels(PIXELS.value, devices)
    if model is None:
        raise InputError("give either --model for the features of a network or --pixels for those of pixels")
    with devices.scope():
        encoder, transform, step = open_model(model, untrained=untrained)
        stages = STAGES.value or [AVGPOOL]
        pooled = poolings(encoder.backbone, stages, size_px=transform.size_px)
        features = stage_features(encoder, pooled)
    digest = model_digest(encoder)
    name = f"{model}{_UNTRAINED}" if untrained else model
    return Extractor(features, pooled, name, digest, transform, BATCH_SIZE.value, devices, step)


def run_of(model: str) -> Path | None:
    """Returns the directory of the run that keeps what is found of features; None where there is none.

    Args:
        model: What features call it: a network of a run, or, for those of pixels beside --run_dir, no network.
    """
    beside_pixels = MODEL.value if PIXELS.value is not None else None
    return run_directory(model if beside_pixels is None else beside_pixels)


def has_untrained() -> bool:
    """Whether the flags ask for the trained network of a run, of which there is the untrained one, too."""
    if MODEL.value is None or PIXELS.value is not None or UNTRAINED.value:
        return False
    return run_directory(MODEL.value) is not None


def run_directory(model: str) -> Path | None:
    """Returns the directory of the run that features are of; None where they are of no run.

    Args:
        model: What features call it, theirs being of a trained network or an untrained one.
    """
    directory = Path(model.removesuffix(_UNTRAINED))
    return directory if (directory / "config.json").is_file() else None


def open_model(model: str, *, untrained: bool) -> tuple[Encoder, Transform, int | None]:
    """Returns the network of --model, what images go through before they reach it, and its step where that is known.

    Args:
        model: As of --model.
        untrained: Whether it has its initial weights.

    Raises:
        InputError: it cannot be opened, or has no initial weights to take.
    """
    if not untrained:
        network = load_network(model)
        return network, _asked(network.transform), network.metadata.get("training_steps")
    check_exists(Path(model))
    if run_directory(model) is None:
        raise InputError(f"--untrained needs the directory of a run, and {model} is none")
    config, network = load_model(model, untrained=True)
    return network, _asked(Transform(config.crops.sizes_px[0])), 0


def _of_pixels(name: str, devices: Devices) -> Extractor:
    size_px = _PIXELS_SIZE_PX
    if MODEL.value is not None:
        check_exists(Path(MODEL.value))
        if UNTRAINED.value or run_directory(MODEL.value) is None:
            raise InputError(
                "--pixels takes the place of the network; beside it --run_dir may name a run, which keeps the result"
            )
        size_px = RunDirectory(MODEL.value).read_config().crops.sizes_px[0]
    features, transform = pixel_features(name), _asked(Transform(size_px))
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
