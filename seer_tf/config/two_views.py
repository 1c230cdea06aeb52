"""What the configs of methods that compare two views of an image have in common: SimCLR, MoCo and BYOL."""

import dataclasses

from seer_tf.config.common import CropsConfig
from seer_tf.config.fields import ABOVE_ZERO, FROM_ZERO, PROBABILITY, field
from seer_tf.config.pretraining import PretrainingConfig, ScheduleConfig
from seer_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ProjectionConfig:
    """Projection head, a multilayer perceptron on the pooled features."""

    hidden_dims: tuple[int, ...] = field((2048,), "Widths of the head's hidden layers.", within=ABOVE_ZERO)
    embedding_dim: int = field(128, "Dimension of the embedding.", within=ABOVE_ZERO)
    batch_norm: bool = field(True, "Batch normalisation after each hidden layer.")
    final_batch_norm: bool = field(False, "Batch normalisation after the last layer.")


@dataclasses.dataclass(frozen=True)
class PlainSgdConfig:
    """The optimizer: SGD with momentum, with the same weight decay for all weights."""

    momentum: float = field(0.9, "Momentum.", within=PROBABILITY)
    weight_decay: float = field(1e-4, "Weight decay.", within=FROM_ZERO)


@dataclasses.dataclass(frozen=True)
class TwoViewConfig(PretrainingConfig):
    """Config of a method that compares two views of each image with each other."""

    crops: CropsConfig = CropsConfig(num=(2,), sizes_px=(224,), min_area_fractions=(0.08,), max_area_fractions=(1.0,))
    head: ProjectionConfig = ProjectionConfig()
    schedule: ScheduleConfig = ScheduleConfig(final_learning_rate=0.0)

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        super().check()
        self.schedule.check(self.run.num_steps)
        if self.crops.num != (2,):
            shown = ",".join(map(str, self.crops.num))
            raise InputError(f"crops.num={shown}: {self.method} compares two views of an image; leave it at 2")
        if self.data.global_batch_size < 2:
            raise InputError(f"data.global_batch_size=1: {self.method} compares images with each other; take 2 or more")
        if self.run.accumulation_steps > 1:
            raise InputError(
                f"run.accumulation_steps={self.run.accumulation_steps}: {self.method} needs all images of a step at "
                "once, for its loss or for batch normalisation; leave it at 1, and save memory by "
                "backbone.activation_checkpointing"
            )
        if self.schedule.head_only_steps:
            raise InputError(
                f"schedule.head_only_steps={self.schedule.head_only_steps} works only with swav; leave it at 0"
            )


def check_batch_norm_of_all(config: TwoViewConfig) -> None:
    """Raises an error if only groups of replicas share their batch normalisation statistics.

    The statistics would tell which images were in a group together, and so which views belong to one image.

    Args:
        config: Config of a method that tells views of an image from those of others.

    Raises:
        InputError: They are in groups.
    """
    if config.run.batch_norm_group_replicas:
        raise InputError(
            f"run.batch_norm_group_replicas={config.run.batch_norm_group_replicas}: with {config.method} the "
            "statistics of a group would show which views belong to one image; leave it at 0"
        )
