"""What defines a run of fine-tuning: frozen dataclasses, as in `config.py`, of which crops and run are the same.

Values and their sources are in `finetune_recipes.py`.
"""

import dataclasses

from seer_tf.config import (
    ABOVE_ZERO,
    ACTIVATION_CHECKPOINTING,
    COMMON_CHECKS,
    FROM_ZERO,
    INTERPOLATIONS,
    PORTION,
    PROBABILITY,
    BaseConfig,
    CropsConfig,
    Range,
    check_crops,
    check_fields,
)
from seer_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class LabelledDataConfig:
    """Labelled images to learn from and to read the accuracy on, and how many are in a step over all replicas.

    Of the images to learn from, `fraction` of each class is taken, or the images that the file `subset_list` names.
    """

    train: str = "builtin"
    test: str = "builtin:test"
    fraction: float = 1.0
    subset_list: str = ""
    global_batch_size: int = 256


@dataclasses.dataclass(frozen=True)
class TransformConfig:
    """What test images go through: shorter side to `resize_px`, then the central square of `size_px`.

    `resize_px` of 0 is `size_px` * 256 / 224, where images of the final size stay as they are.
    """

    size_px: int = 224
    resize_px: int = 256
    interpolation: str = "bilinear"


@dataclasses.dataclass(frozen=True)
class MixingConfig:
    """What is done to images and targets beside the crops; nought switches each of it off.

    `mixup_alpha` and `cutmix_alpha` are those of the beta distribution; with both, each batch has one of them by
    chance. RandAugment changes each image by so many operations of a strength from 0 to 1.
    """

    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    rand_augment_operations: int = 0
    rand_augment_strength: float = 0.1


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """What is fine-tuned: the network that `run.init_from` names, and what stands on its backbone.

    `untrained` takes the architecture with fresh weights. `keep_first_head_layer` keeps the first layer of the
    projection head below the classifier, with a new batch norm.
    """

    untrained: bool = False
    keep_first_head_layer: bool = False
    activation_checkpointing: str = "none"


@dataclasses.dataclass(frozen=True)
class SgdConfig:
    """SGD as in PyTorch. The rate of a layer is `layer_decay` times that of the layer above it.

    A layer is the stem or a block; the uppermost has the schedule's rate, and what stands on the backbone has
    `classifier_rate_factor` times that rate. Weight decay leaves batch norm out.
    """

    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    layer_decay: float = 1.0
    classifier_rate_factor: float = 1.0


@dataclasses.dataclass(frozen=True)
class EpochScheduleConfig:
    """The learning rate over the epochs of a run, for `reference_batch_size` images in a step.

    `steps` multiplies the rate by `step_factor` at each of `step_epochs`; `cosine` falls to the final rate.
    """

    kind: str = "steps"
    num_epochs: float = 35.0
    peak_learning_rate: float = 0.0125
    step_epochs: tuple[float, ...] = (30.0,)
    step_factor: float = 0.1
    final_learning_rate: float = 0.0
    reference_batch_size: int = 256


@dataclasses.dataclass(frozen=True)
class FinetuneConfig(BaseConfig):
    """All of a run of fine-tuning. Where `run.num_steps` is 0, the epochs and the images determine it."""

    data: LabelledDataConfig = dataclasses.field(default_factory=LabelledDataConfig)
    crops: CropsConfig = dataclasses.field(default_factory=lambda: plain_crops(224))
    transform: TransformConfig = dataclasses.field(default_factory=TransformConfig)
    mixing: MixingConfig = dataclasses.field(default_factory=MixingConfig)
    classifier: ClassifierConfig = dataclasses.field(default_factory=ClassifierConfig)
    optimizer: SgdConfig = dataclasses.field(default_factory=SgdConfig)
    schedule: EpochScheduleConfig = dataclasses.field(default_factory=EpochScheduleConfig)


def plain_crops(size_px: int) -> CropsConfig:
    """Returns what supervised training usually sees: RandomResizedCrop of 8 to 100 % of the area, and a flip."""
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
    """Returns the same with SwAV's colours and blur."""
    plain, swav = plain_crops(size_px), CropsConfig()
    return dataclasses.replace(
        plain,
        color_jitter_probability=swav.color_jitter_probability,
        grayscale_probability=swav.grayscale_probability,
        blur_probability=swav.blur_probability,
    )


def validate(config: FinetuneConfig) -> FinetuneConfig:
    """Returns the config unchanged, if its fields agree with each other.

    Raises:
        InputError: a field is out of its range, or two of them do not go together.
    """
    check_fields(config, _RULES)
    if config.crops.num != (1,):
        raise InputError(f"crops.num={config.crops.num}: fine-tuning takes one crop of an image; leave it at 1")
    check_crops(config.crops)
    if config.run.reset:
        raise InputError("run.reset is of pretraining; fine-tuning takes the whole network that is given")
    epochs = config.schedule.step_epochs
    if config.schedule.kind == "steps" and not (epochs and list(epochs) == sorted(epochs)):
        raise InputError(f"schedule.step_epochs={epochs} must be epochs in rising order, e.g. 30")
    transform = config.transform
    if transform.resize_px and transform.resize_px < transform.size_px:
        raise InputError(
            f"transform.resize_px={transform.resize_px} is less than transform.size_px={transform.size_px}, so that "
            "test images would have black borders; raise it, or set it to 0 for size_px * 256 / 224"
        )
    return config


def with_length(config: FinetuneConfig, num_images: int) -> FinetuneConfig:
    """Returns the config with the number of steps that its epochs have over so many images, where it has none yet."""
    if config.run.num_steps:
        return config
    num_steps = max(1, round(config.schedule.num_epochs * num_images / config.data.global_batch_size))
    return dataclasses.replace(config, run=dataclasses.replace(config.run, num_steps=num_steps))


SCHEDULES = ("steps", "cosine")
_RULES = {
    **COMMON_CHECKS,
    "data.fraction": PORTION,
    "data.global_batch_size": ABOVE_ZERO,
    "transform.size_px": ABOVE_ZERO,
    "transform.resize_px": FROM_ZERO,
    "transform.interpolation": INTERPOLATIONS,
    "mixing.label_smoothing": PROBABILITY,
    "mixing.mixup_alpha": PROBABILITY,
    "mixing.cutmix_alpha": PROBABILITY,
    "mixing.rand_augment_operations": Range(high=11),
    "mixing.rand_augment_strength": PROBABILITY,
    "classifier.activation_checkpointing": ACTIVATION_CHECKPOINTING,
    "optimizer.momentum": PROBABILITY,
    "optimizer.weight_decay": FROM_ZERO,
    "optimizer.layer_decay": PROBABILITY,
    "optimizer.classifier_rate_factor": FROM_ZERO,
    "schedule.kind": SCHEDULES,
    "schedule.num_epochs": ABOVE_ZERO,
    "schedule.peak_learning_rate": ABOVE_ZERO,
    "schedule.step_epochs": FROM_ZERO,
    "schedule.step_factor": FROM_ZERO,
    "schedule.final_learning_rate": FROM_ZERO,
    "schedule.reference_batch_size": ABOVE_ZERO,
}
