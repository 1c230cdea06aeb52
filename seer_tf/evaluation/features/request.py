"""The request for features: the model, its stages and the preparation of the images."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from seer_tf.data.images.transform import Transform
from seer_tf.distributed.inference import InferenceDevices
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import model_digest
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.pixels import pixel_features
from seer_tf.evaluation.features.run_features import own_stage, whitened_stages
from seer_tf.evaluation.features.stages import Pooling, poolings, stage_features
from seer_tf.models import Encoder, all_stages
from seer_tf.networks.load import load_network
from seer_tf.networks.pretrained import load_model, read_config
from seer_tf.training.run_directory import RunDirectory, check_exists

BATCH_SIZE = 128
_PIXELS_SIZE_PX = 64
_UNTRAINED = ", untrained"


@dataclasses.dataclass(frozen=True)
class FeatureRequest:
    """A request for features.

    Attributes:
        model: A run, one of its checkpoints, a conversion or a `.keras` file; None for pixel features.
        untrained: Whether the network has its initial weights.
        pixels: Name of pixel features, in place of a network's features.
        stages: Names of stages; empty for the features that the run names as its own, for the pooled last stage of
            other models, or for all stages of stored features.
        size_px: Side of the square that the network sees, in pixels; None for the model's own.
        squash: Whether whole images are squeezed into the square instead of cropped.
        squash_at_once: Whether squeezing resizes an image once, and not the shorter side first.
        batch_size: Number of images in a batch.
    """

    model: str | None = None
    untrained: bool = False
    pixels: str | None = None
    stages: tuple[str, ...] = ()
    size_px: int | None = None
    squash: bool = False
    squash_at_once: bool = False
    batch_size: int = BATCH_SIZE

    @property
    def is_given(self) -> bool:
        """Returns whether a model or pixel features are named."""
        return self.model is not None or self.pixels is not None

    @property
    def has_untrained(self) -> bool:
        """Returns whether the request is for a run's trained network, so that its untrained network exists too."""
        if self.model is None or self.pixels is not None or self.untrained:
            return False
        return run_directory(self.model) is not None

    def check_only(self, *names: str) -> None:
        """Raises an error if something is asked for that a protocol does not use.

        Args:
            names: Fields that the protocol uses.

        Raises:
            InputError: Another field differs from its default.
        """
        for field in dataclasses.fields(self):
            if field.name not in names and getattr(self, field.name) != field.default:
                raise InputError(f"this protocol does not use `{field.name}`; leave it out")

    def extractor(self, num_devices: int | None = None) -> Extractor:
        """Returns the extractor of the features.

        Args:
            num_devices: Number of devices in this host; None for all GPUs, or one device without GPUs.

        Raises:
            InputError: Neither a model nor pixel features are named, or they cannot be used.
        """
        devices = InferenceDevices.of_this_host(num_devices)
        if self.pixels is not None:
            return self._of_pixels(self.pixels, devices)
        if self.model is None:
            raise InputError("give either `model` for features of a network or `pixels` for pixel features")
        with devices.scope():
            encoder, transform, step = self._open(self.model)
            stages = self.stages or (own_stage(self.model),)
            single = [stage for stage in stages if stage != all_stages.NAME]
            pooled = poolings(encoder.backbone, single, size_px=transform.size_px)
            whitened = whitened_stages(self.model, encoder) if all_stages.NAME in stages else None
            features = stage_features(encoder, pooled, whitened)
        if whitened is not None:
            pooled = {**pooled, all_stages.NAME: Pooling(1, 1, whitened.num_components)}
        return Extractor(features, pooled, self.name, model_digest(encoder), transform, self.batch_size, devices, step)

    @property
    def name(self) -> str:
        """Returns how results call the network."""
        return f"{self.model}{_UNTRAINED}" if self.untrained else self.model or ""

    def network(self) -> tuple[Encoder, int | None]:
        """Returns the network and its step (None if unknown).

        Raises:
            InputError: No model is named, or it cannot be used.
        """
        if self.model is None:
            raise InputError("`model` is missing; give a network")
        encoder, _, step = self._open(self.model)
        return encoder, step

    def run_of(self, model: str) -> Path | None:
        """Returns the directory of the run that keeps the results of features; None if no run keeps them.

        Args:
            model: Name of the model in the features' origin. For pixel features the request's run counts instead.
        """
        beside_pixels = self.model if self.pixels is not None else None
        return run_directory(model if beside_pixels is None else beside_pixels)

    def _open(self, model: str) -> tuple[Encoder, Transform, int | None]:
        """Returns the network, the transform of its images, and its step (None if unknown)."""
        if not self.untrained:
            network = load_network(model)
            return network, self._asked(network.transform), network.metadata.get("training_steps")
        check_exists(Path(model))
        if run_directory(model) is None:
            raise InputError(f"`untrained` needs a run directory, and {model} is not one")
        config, encoder = load_model(model, untrained=True)
        return encoder, self._asked(Transform(config.crops.sizes_px[0])), 0

    def _of_pixels(self, name: str, devices: InferenceDevices) -> Extractor:
        size_px = _PIXELS_SIZE_PX
        if self.model is not None:
            check_exists(Path(self.model))
            if self.untrained or run_directory(self.model) is None:
                raise InputError(
                    "`pixels` replaces the network; beside `pixels`, `run_dir` may only name a run, which keeps the "
                    "result"
                )
            size_px = read_config(RunDirectory(self.model)).crops.sizes_px[0]
        features, transform = pixel_features(name), self._asked(Transform(size_px))
        dim = features(tf.zeros([1, 8, 8, 3], tf.uint8)).shape[-1]
        return Extractor(
            lambda images: {name: features(images)},
            {name: Pooling(1, 1, dim)},
            f"pixels, {name}",
            f"pixels-{name}",
            transform,
            self.batch_size,
            devices,
        )

    def _asked(self, transform: Transform) -> Transform:
        """Returns the model's transform with the changes that the request asks for."""
        if self.size_px is not None:
            transform = transform.with_size(self.size_px)
        return dataclasses.replace(transform, squash=self.squash, at_once=self.squash_at_once)


def run_directory(model: str) -> Path | None:
    """Returns the directory of the run that a model belongs to; None if it belongs to no run.

    Args:
        model: Name of the model in the features' origin, trained or untrained.
    """
    directory = Path(model.removesuffix(_UNTRAINED))
    return directory if (directory / "config.json").is_file() else None
