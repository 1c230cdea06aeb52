"""The config of a run with SimCLR."""

import dataclasses
from typing import ClassVar

from seer_tf.config import OptimizerConfig
from seer_tf.config.fields import ABOVE_ZERO, field
from seer_tf.config.two_views import TwoViewConfig, check_batch_norm_of_all


@dataclasses.dataclass(frozen=True)
class SimclrSection:
    """The contrast between images."""

    temperature: float = field(0.1, "Temperature of the softmax over all views of the other images.", within=ABOVE_ZERO)


@dataclasses.dataclass(frozen=True)
class SimclrConfig(TwoViewConfig):
    """Config of a pretraining run with SimCLR."""

    method: ClassVar[str] = "simclr"

    simclr: SimclrSection = SimclrSection()
    optimizer: OptimizerConfig = OptimizerConfig()

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        super().check()
        check_batch_norm_of_all(self)
