"""The config of a pretraining run. Together with the images it determines the run.

Field names include their units (`_px`, `_steps`, `_fractions`). Names with `global` count over all replicas. The values
and their sources are in `pretraining/recipes.py`.
"""

import dataclasses
from typing import ClassVar

from seer_tf.config.common import (
    ACTIVATION_CHECKPOINTING,
    ACTIVATION_CHECKPOINTING_HELP,
    BaseConfig,
    CropsConfig,
)
from seer_tf.config.fields import ABOVE_ZERO, FROM_ZERO, PROBABILITY, Range, check_fields, field
from seer_tf.errors import InputError
from seer_tf.quantities import counted

#: Features of a run: the mean of the last stage's map, or whitened statistics of all stages.
FEATURES = ("avgpool", "all_stages")
#: Where crops are flipped, coloured and blurred.
PLACES = ("host", "accelerator")
#: What is shuffled in each epoch.
ORDERS = ("images", "blocks")
SCHEDULES = ("swav_cosine", "vissl_cosine", "constant", "constant_then_halve")
BATCH_SCALINGS = ("linear", "square_root")
_MOST_PROTOTYPES_PER_ROW = 4


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Images of the run."""

    source: str = field("builtin", "Images to train on, e.g. folder:DIR.")
    num_images: int = field(
        0,
        "Number of images of data.source to train on, evenly spaced; 0 for all.",
        within=FROM_ZERO,
        unit="images",
        added_later=True,
    )
    global_batch_size: int = field(
        256, "Number of images in a step, over all replicas.", within=ABOVE_ZERO, unit="images"
    )
    max_bad_fraction: float = field(
        0.01, "Largest fraction of unreadable images before training stops, below 1.", within=PROBABILITY
    )
    order: str = field(
        "images",
        "What is shuffled in each epoch: single images, or blocks of neighbours in shards, for storage far away.",
        within=ORDERS,
        added_later=True,
    )
    augment_on: str = field("host", "Device that flips, colours and blurs the crops.", within=PLACES)


@dataclasses.dataclass(frozen=True)
class BackboneConfig:
    """The network: a RegNetY, a ResNet or a Keras model."""

    variant: str = field(
        "400MF",
        "A RegNetY, e.g. 400MF or 256GF; resnet50, resnet101 or resnext101_32x8d; or a Keras model: "
        "keras.applications:NAME, keras_hub:PRESET, MODULE:FUNCTION or FILE.keras.",
    )
    stem_stride: int = field(
        2, "Stride of the first convolution: 2 as published, 1 for small images.", within=Range(low=1, high=2)
    )
    activation_checkpointing: str = field("none", ACTIVATION_CHECKPOINTING_HELP, within=ACTIVATION_CHECKPOINTING)
    weights: str = field(
        "", "File with weights of the Keras model (.weights.h5, .h5 or .keras) to start from.", added_later=True
    )
    features: str = field(
        "avgpool",
        "Features of the run for evaluations and exports: avgpool, the mean of the last stage, as in the papers; or "
        "all_stages, whitened statistics of every stage, for runs of minutes.",
        within=FEATURES,
        added_later=True,
    )


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """Projection head and prototypes."""

    hidden_dims: tuple[int, ...] = field((2048,), "Widths of the head's hidden layers.", within=ABOVE_ZERO)
    embedding_dim: int = field(128, "Dimension of the embedding.", within=ABOVE_ZERO)
    batch_norm: bool = field(True, "Batch normalisation after each hidden layer.")
    num_prototypes: int = field(3000, "Number of prototypes.", within=Range(low=2))


@dataclasses.dataclass(frozen=True)
class SwavConfig:
    """Sinkhorn codes and swapped prediction."""

    temperature: float = field(0.1, "Temperature of the softmax that predicts the codes.", within=ABOVE_ZERO)
    epsilon: float = field(0.05, "Weight of the entropy in the Sinkhorn codes.", within=ABOVE_ZERO)
    sinkhorn_iterations: int = field(3, "Number of Sinkhorn iterations for each batch.", within=ABOVE_ZERO)
    num_assigning_crops: int = field(
        2, "Number of crops per image whose codes the other crops predict; the first crops count.", within=ABOVE_ZERO
    )
    freeze_prototypes_steps: int = field(
        313, "Number of first steps in which the prototypes do not change.", within=FROM_ZERO, unit="steps"
    )
    queue_length: int = field(
        0,
        "Number of embeddings from earlier batches that take part in Sinkhorn; 0 for no queue.",
        within=FROM_ZERO,
        unit="images",
    )
    queue_start_step: int = field(
        0, "First step that uses the queue, provided that the queue is full.", within=FROM_ZERO, unit="steps"
    )


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer: LARS."""

    momentum: float = field(0.9, "Momentum.", within=PROBABILITY)
    weight_decay: float = field(1e-6, "Weight decay.", within=FROM_ZERO)
    trust_coefficient: float = field(
        0.001, "Ratio of a layer's update to its weights, at learning rate 1.", within=ABOVE_ZERO
    )
    epsilon: float = field(1e-8, "Number added to the gradient's norm to avoid division by zero.", within=FROM_ZERO)


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate: a linear warm-up, then a curve over the rest of the run.

    Learning rates are given for `reference_batch_size` images in a step and are scaled to the run's batch.
    """

    kind: str = field("swav_cosine", "Curve after the warm-up.", within=SCHEDULES)
    warmup_steps: int = field(0, "Length of the warm-up.", within=FROM_ZERO, unit="steps")
    warmup_start_learning_rate: float = field(0.0, "Learning rate at the first step of the warm-up.", within=FROM_ZERO)
    peak_learning_rate: float = field(0.3, "Learning rate at the end of the warm-up.", within=ABOVE_ZERO)
    final_learning_rate: float = field(0.0003, "Learning rate at the end of a cosine.", within=FROM_ZERO)
    reference_batch_size: int = field(
        256, "Batch size for which the learning rates are given.", within=ABOVE_ZERO, unit="images"
    )
    batch_scaling: str = field(
        "linear",
        "Growth of the learning rates with the batch size: linear, or with its square root.",
        within=BATCH_SCALINGS,
        added_later=True,
    )
    halving_window_steps: int = field(
        0,
        "Length of the windows whose losses constant_then_halve compares. If the loss does not fall from one window to "
        "the next, the learning rate is halved.",
        within=FROM_ZERO,
        unit="steps",
    )
    head_only_steps: int = field(
        0, "Number of first steps in which the backbone does not change.", within=FROM_ZERO, unit="steps"
    )

    def check(self, num_steps: int) -> None:
        """Raises an error if the warm-up is longer than the run.

        Args:
            num_steps: Length of the run.

        Raises:
            InputError: It is longer; the message names the fields.
        """
        if self.warmup_steps > num_steps:
            raise InputError(
                f"schedule.warmup_steps={self.warmup_steps} must be between 0 and the length of the run, "
                f"run.num_steps={num_steps}"
            )


@dataclasses.dataclass(frozen=True)
class PretrainingConfig(BaseConfig):
    """What the configs of all pretraining methods have: images, crops and the backbone.

    A method derives its own type from this one, with its name as `method` and with further sections.
    """

    kind: ClassVar[str] = "pretraining"

    data: DataConfig = DataConfig()
    crops: CropsConfig = CropsConfig()
    backbone: BackboneConfig = BackboneConfig()

    def check(self) -> None:
        """Raises if a field is not allowed, or fields do not go together.

        Raises:
            InputError: The text names the field or fields.
        """
        check_fields(self)
        self.crops.check()
        batch, run = self.data.global_batch_size, self.run
        if self.data.max_bad_fraction == 1:
            raise InputError("data.max_bad_fraction=1 must be at least 0 and below 1")
        if batch % run.accumulation_steps:
            raise InputError(
                f"data.global_batch_size={batch} must be a multiple of run.accumulation_steps="
                f"{run.accumulation_steps}; change one of them"
            )
        if self.backbone.weights and run.init_from:
            raise InputError(
                "backbone.weights and run.init_from both give weights to start from; leave one of them out"
            )
        if run.reset and not run.init_from:
            raise InputError(
                f"run.reset={','.join(run.reset)} has no meaning without run.init_from; give `run.init_from`, or leave "
                "out `run.reset`"
            )


@dataclasses.dataclass(frozen=True)
class Config(PretrainingConfig):
    """Config of a pretraining run with SwAV."""

    method: ClassVar[str] = "swav"

    head: HeadConfig = HeadConfig()
    swav: SwavConfig = SwavConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        super().check()
        crops, swav = self.crops, self.swav
        batch = self.data.global_batch_size
        if swav.queue_length % batch:
            raise InputError(
                f"swav.queue_length={swav.queue_length} must be a multiple of data.global_batch_size={batch}, or 0 "
                "for no queue"
            )
        if swav.num_assigning_crops > crops.num[0]:
            raise InputError(
                f"swav.num_assigning_crops={swav.num_assigning_crops} must be between 1 and the first value of "
                f"crops.num, {crops.num[0]}"
            )
        if sum(crops.num) < 2:
            raise InputError("swapped prediction needs at least two crops of an image; raise crops.num")
        self.schedule.check(self.run.num_steps)

    def warnings(self) -> list[str]:
        """Returns a sentence for each field that has no effect because of other fields.

        These are not errors: a long recipe is often tried for a few steps.
        """
        run, swav, schedule, batch = self.run, self.swav, self.schedule, self.data.global_batch_size
        queue_start = max(swav.queue_start_step, swav.queue_length // batch) if swav.queue_length else 0
        late = {
            f"the prototypes are frozen for {swav.freeze_prototypes_steps} (swav.freeze_prototypes_steps)": (
                swav.freeze_prototypes_steps
            ),
            f"the queue waits for {queue_start} (swav.queue_start_step, or until it is full)": queue_start,
            f"all but the head is frozen for {schedule.head_only_steps} (schedule.head_only_steps)": (
                schedule.head_only_steps
            ),
        }
        texts, rows = [], batch + swav.queue_length
        if parts := [text for text, steps in late.items() if steps >= run.num_steps]:
            texts.append(
                f"the run has {counted(run.num_steps, 'step')}, but {', and '.join(parts)}; unless this is a trial, "
                "raise run.num_steps or lower these fields"
            )
        if self.head.num_prototypes > _MOST_PROTOTYPES_PER_ROW * rows:
            texts.append(
                f"head.num_prototypes={self.head.num_prototypes} is more than {_MOST_PROTOTYPES_PER_ROW} prototypes "
                f"for each image in batch and queue ({counted(rows, 'image')}), so the images cannot use all "
                "prototypes equally (SEER has 3.9 for each image); lower head.num_prototypes, or raise "
                "data.global_batch_size or swav.queue_length"
            )
        return texts
