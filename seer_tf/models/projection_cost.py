"""The cost of a method that compares two views of an image, from its config alone, for the planner.

The heads are a projection and perhaps a predictor, as in `models/projection_model.py`.
"""

import itertools
from collections.abc import Sequence

from seer_tf.config.two_views import TwoViewConfig
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.models.heads.cost import FLOAT


class ProjectionCost:
    """A `MethodCost` of projection and predictor. A subclass changes what differs in its method."""

    prototype_parameters = 0
    sizes_before = 0
    trained_crops: tuple[int, ...] = (2,)
    num_forwards = 1
    followed_crops = 0

    def __init__(self, config: TwoViewConfig, predictor_dims: Sequence[int] = ()) -> None:
        """Counts the heads of a config.

        Args:
            config: Run configuration.
            predictor_dims: Widths of the predictor's hidden layers; empty for no predictor.
        """
        head = config.head
        self.config = config
        self._float = 8 if config.run.precision == "float64" else FLOAT
        self._element = 2 if config.run.precision.startswith("mixed") else self._float
        projection = (backbone_cost(config.backbone).feature_width, *head.hidden_dims, head.embedding_dim)
        predictor = (head.embedding_dim, *predictor_dims, head.embedding_dim) if predictor_dims else ()
        self._mlps = [projection, predictor] if predictor else [projection]
        self.weight_sizes = [size for widths in self._mlps for size in self._sizes(widths)]
        self._norms = [width for widths in self._mlps for width in self._normalized(widths)]
        self.normalized_widths = self._norms * self.num_forwards
        self.multiply_adds = sum(a * b for widths in self._mlps for a, b in itertools.pairwise(widths))
        self.followed_parameters = sum(self._sizes(projection)) if self.followed_crops else 0
        self.followed_widths = self._normalized(projection) * self.followed_crops

    def _normalized(self, widths: Sequence[int]) -> list[int]:
        head = self.config.head
        return [*(widths[1:-1] if head.batch_norm else ()), *(widths[-1:] if head.final_batch_norm else ())]

    def _sizes(self, widths: Sequence[int]) -> list[int]:
        linears = [size for a, b in itertools.pairwise(widths) for size in (a * b, b)]
        return linears + [width for width in self._normalized(widths) for _ in ("gamma", "beta")]

    def head_bytes(self, images: int) -> int:
        """Returns the bytes of the layers' inputs and of what batch normalisation keeps."""
        rows = sum(self.trained_crops) * images
        return rows * (sum(map(sum, self._mlps)) + sum(self._norms)) * self._element

    def queue_bytes(self, num_devices: int) -> int:
        """Returns zero: there is no queue."""
        return 0

    def reductions(self, num_devices: int) -> tuple[int, int]:
        """Returns zeros: each image needs only its own views."""
        return 0, 0
