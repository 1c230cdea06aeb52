"""The config of a fine-tuning run.

The section `crops` is the same as in pretraining. The section `run` differs only in the length of the run. The values
and their sources are in `recipes.py`.
"""

import dataclasses
from typing import ClassVar

from seer_tf.config import ACTIVATION_CHECKPOINTING, INTERPOLATIONS, BaseConfig, CropsConfig, Range, RunConfig, field
from seer_tf.config.common import ACTIVATION_CHECKPOINTING_HELP
from seer_tf.config.fields import ABOVE_ZERO, FROM_ZERO, PORTION, PROBABILITY, check_fields
from seer_tf.errors import InputError

SCHEDULES = ("steps", "cosine")


@dataclasses.dataclass(frozen=True)
class LabelledDataConfig:
    """Labelled images for training and for measuring the accuracy."""

    train: str = field("builtin", "Labelled images for training, e.g. folder:DIR.")
    test: str = field("builtin:test", "Labelled images for measuring the accuracy.")
    fraction: float = field(1.0, "Fraction of each class's images to train on.", within=PORTION)
    subset_list: str = field("", "File with the names of the images to train on, one name per line.")
    global_batch_size: int = field(
        256, "Number of images in a step, over all replicas.", within=ABOVE_ZERO, unit="images"
    )


@dataclasses.dataclass(frozen=True)
class TransformConfig:
    """Preparation of test images: resize the shorter side, then take the central square."""

    size_px: int = field(224, "Side of the central square.", within=ABOVE_ZERO, unit="px")
    resize_px: int = field(
        256,
        "Shorter side after resizing. 0 stands for size_px * 256 / 224, but images of size_px are not resized.",
        within=FROM_ZERO,
        unit="px",
    )
    interpolation: str = field("bilinear", "Interpolation by which images are resized.", within=INTERPOLATIONS)


@dataclasses.dataclass(frozen=True)
class MixingConfig:
    """Augmentation of images and targets in addition to the crops. A value of 0 switches each kind off.

    If both mixup and CutMix are on, each batch gets one of them at random.
    """

    label_smoothing: float = field(0.0, "Fraction of each target that is spread over all classes.", within=PROBABILITY)
    mixup_alpha: float = field(0.0, "Parameter of mixup's beta distribution.", within=PROBABILITY)
    cutmix_alpha: float = field(0.0, "Parameter of CutMix's beta distribution.", within=PROBABILITY)
    rand_augment_operations: int = field(0, "Number of RandAugment operations on each image.", within=Range(high=11))
    rand_augment_strength: float = field(0.1, "Strength of the RandAugment operations.", within=PROBABILITY)


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """The layers on the backbone of the network that `run.init_from` names."""

    untrained: bool = field(False, "Take only the architecture of run.init_from, with fresh weights.")
    keep_first_head_layer: bool = field(
        False, "Keep the first layer of the projection head below the classifier, with a new batch normalisation."
    )
    activation_checkpointing: str = field("none", ACTIVATION_CHECKPOINTING_HELP, within=ACTIVATION_CHECKPOINTING)


@dataclasses.dataclass(frozen=True)
class SgdConfig:
    """The optimizer: SGD as in PyTorch.

    A layer is the stem or a block. The uppermost layer has the schedule's learning rate.
    """

    momentum: float = field(0.9, "Momentum.", within=PROBABILITY)
    nesterov: bool = field(True, "Nesterov momentum.")
    weight_decay: float = field(0.0, "Weight decay.", within=FROM_ZERO)
    decay_batch_norm: bool = field(
        False, "Whether weight decay includes scale and offset of batch normalisation.", added_later=True
    )
    layer_decay: float = field(
        1.0, "Ratio of the learning rate of each layer to that of the layer above.", within=PROBABILITY
    )
    classifier_rate_factor: float = field(
        1.0, "Factor on the learning rate of the layers on the backbone.", within=FROM_ZERO
    )


@dataclasses.dataclass(frozen=True)
class EpochScheduleConfig:
    """The learning rate over the epochs of a run.

    Learning rates are given for `reference_batch_size` images in a step and are scaled linearly to the run's batch.
    """

    kind: str = field(
        "steps",
        "Curve of the rate: steps multiplies it by step_factor at each of step_epochs; cosine ends at the final rate.",
        within=SCHEDULES,
    )
    num_epochs: float = field(
        35.0, "Length of the run if run.num_steps is 0.", within=Range(high=1_000_000, excluded=True), unit="epochs"
    )
    peak_learning_rate: float = field(
        0.0125, "Learning rate at the beginning, or at the end of a warm-up.", within=ABOVE_ZERO
    )
    warmup_epochs: float = field(
        0.0,
        "Epochs at the beginning in which the learning rate rises linearly to its peak.",
        within=FROM_ZERO,
        unit="epochs",
        added_later=True,
    )
    warmup_start_learning_rate: float = field(
        0.0, "Learning rate at the first step of a warm-up.", within=FROM_ZERO, added_later=True
    )
    step_epochs: tuple[float, ...] = field(
        (30.0,), "Epochs at which the learning rate is multiplied by step_factor.", within=FROM_ZERO, unit="epochs"
    )
    step_factor: float = field(0.1, "Factor on the learning rate at each of step_epochs.", within=FROM_ZERO)
    final_learning_rate: float = field(0.0, "Learning rate at the end of a cosine.", within=FROM_ZERO)
    reference_batch_size: int = field(
        256, "Batch size for which the learning rates are given.", within=ABOVE_ZERO, unit="images"
    )


def plain_crops(size_px: int) -> CropsConfig:
    """Returns the usual crops of supervised training: RandomResizedCrop with 8 to 100 % of the area, and a flip."""
    return CropsConfig(
        num=(1,),
        sizes_px=(size_px,),
        min_area_fractions=(0.08,),
        max_area_fractions=(1.0,),
        color_jitter_probability=0.0,
        grayscale_probability=0.0,
        blur_probability=0.0,
    )


def distorted_crops(size_px: int) -> CropsConfig:
    """Returns the crops of `plain_crops` with SwAV's colour changes and blur."""
    plain, swav = plain_crops(size_px), CropsConfig()
    return dataclasses.replace(
        plain,
        color_jitter_probability=swav.color_jitter_probability,
        grayscale_probability=swav.grayscale_probability,
        blur_probability=swav.blur_probability,
    )


@dataclasses.dataclass(frozen=True)
class FinetuneRunConfig(RunConfig):
    """Length, seed, precision, starting point, and how often something is written."""

    num_steps: int = field(
        0, "Length of the run; 0 takes it from schedule.num_epochs and the images.", within=FROM_ZERO, unit="steps"
    )


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(BaseConfig):
    """Config of a fine-tuning run."""

    kind: ClassVar[str] = "finetuning"

    run: FinetuneRunConfig = FinetuneRunConfig()
    data: LabelledDataConfig = LabelledDataConfig()
    crops: CropsConfig = plain_crops(224)
    transform: TransformConfig = TransformConfig()
    mixing: MixingConfig = MixingConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    optimizer: SgdConfig = SgdConfig()
    schedule: EpochScheduleConfig = EpochScheduleConfig()

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        check_fields(self)
        if self.crops.num != (1,):
            raise InputError(f"crops.num={self.crops.num}: fine-tuning uses one crop per image; leave it at 1")
        self.crops.check()
        if self.run.reset:
            raise InputError("run.reset is for pretraining; leave it out, since fine-tuning takes the whole network")
        epochs = self.schedule.step_epochs
        if self.schedule.kind == "steps" and not (epochs and list(epochs) == sorted(epochs)):
            raise InputError(f"schedule.step_epochs={epochs} must be epochs in rising order, e.g. 30")
        if self.schedule.warmup_epochs > self.schedule.num_epochs:
            raise InputError(
                f"schedule.warmup_epochs={self.schedule.warmup_epochs} is more than schedule.num_epochs="
                f"{self.schedule.num_epochs}; lower it"
            )
        transform = self.transform
        if transform.resize_px and transform.resize_px < transform.size_px:
            raise InputError(
                f"transform.resize_px={transform.resize_px} is less than transform.size_px={transform.size_px}, so "
                "that test images would have black borders; raise it, or set it to 0 for size_px * 256 / 224"
            )


def with_length(config: FinetuneConfig, num_images: int) -> FinetuneConfig:
    """Returns the config with the number of steps that its epochs need for `num_images`, if it has no number yet.

    Raises:
        InputError: The run would be too long.
    """
    if config.run.num_steps:
        return config
    num_steps = max(1, round(config.schedule.num_epochs * num_images / config.data.global_batch_size))
    longer = dataclasses.replace(config, run=dataclasses.replace(config.run, num_steps=num_steps))
    longer.check()
    return longer
