"""The config of a run with BYOL."""

import dataclasses
from typing import ClassVar

from seer_tf.config import OptimizerConfig
from seer_tf.config.fields import ABOVE_ZERO, PROBABILITY, field
from seer_tf.config.two_views import ProjectionConfig, TwoViewConfig
from seer_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ByolSection:
    """The predictor and the target network."""

    predictor_dims: tuple[int, ...] = field((4096,), "Widths of the predictor's hidden layers.", within=ABOVE_ZERO)
    momentum: float = field(
        0.996,
        "Share of the target network's weights that the first step keeps; it rises to 1 along a cosine.",
        within=PROBABILITY,
    )


@dataclasses.dataclass(frozen=True)
class ByolConfig(TwoViewConfig):
    """Config of a pretraining run with BYOL."""

    method: ClassVar[str] = "byol"

    head: ProjectionConfig = ProjectionConfig(hidden_dims=(4096,), embedding_dim=256)
    byol: ByolSection = ByolSection()
    optimizer: OptimizerConfig = OptimizerConfig(weight_decay=1.5e-6)

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        super().check()
        if not self.byol.predictor_dims:
            raise InputError(
                "byol.predictor_dims is empty: without a predictor all embeddings become alike; give e.g. "
                "`byol.predictor_dims=4096`"
            )
