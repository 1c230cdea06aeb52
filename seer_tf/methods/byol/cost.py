"""The cost of BYOL, for the planner."""

from seer_tf.methods.byol.config import ByolConfig
from seer_tf.models.projection_cost import ProjectionCost


class ByolCost(ProjectionCost):
    """Each view through the online network with its predictor, and through the target network."""

    num_forwards = 2
    followed_crops = 2

    def __init__(self, config: ByolConfig) -> None:
        """Counts the heads of a config."""
        super().__init__(config, config.byol.predictor_dims)
