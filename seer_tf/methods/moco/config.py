"""The config of a run with MoCo v2."""

import dataclasses
from typing import ClassVar

from seer_tf.config import ScheduleConfig
from seer_tf.config.fields import ABOVE_ZERO, PROBABILITY, field
from seer_tf.config.two_views import PlainSgdConfig, ProjectionConfig, TwoViewConfig, check_batch_norm_of_all
from seer_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class MocoSection:
    """The contrast with the keys of earlier steps."""

    temperature: float = field(0.2, "Temperature of the softmax over the keys.", within=ABOVE_ZERO)
    momentum: float = field(0.999, "Share of the key encoder's weights that a step keeps.", within=PROBABILITY)
    queue_length: int = field(65_536, "Number of keys from earlier steps.", within=ABOVE_ZERO, unit="keys")


@dataclasses.dataclass(frozen=True)
class MocoConfig(TwoViewConfig):
    """Config of a pretraining run with MoCo v2."""

    method: ClassVar[str] = "moco"

    head: ProjectionConfig = ProjectionConfig(hidden_dims=(2048,), embedding_dim=128, batch_norm=False)
    moco: MocoSection = MocoSection()
    optimizer: PlainSgdConfig = PlainSgdConfig()
    schedule: ScheduleConfig = ScheduleConfig(peak_learning_rate=0.03, final_learning_rate=0.0)

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        super().check()
        check_batch_norm_of_all(self)
        if self.moco.queue_length % self.data.global_batch_size:
            raise InputError(
                f"moco.queue_length={self.moco.queue_length} must be a multiple of data.global_batch_size="
                f"{self.data.global_batch_size}; change one of them"
            )
