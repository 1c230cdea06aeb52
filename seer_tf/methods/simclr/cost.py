"""The cost of SimCLR, for the planner."""

from seer_tf.methods.simclr.config import SimclrConfig
from seer_tf.models.projection_cost import ProjectionCost


class SimclrCost(ProjectionCost):
    """Both views in one pass, and the similarities of all views."""

    config: SimclrConfig

    def head_bytes(self, images: int) -> int:
        """Returns the bytes of the projection, and of similarities, softmax and its gradient."""
        similarities = 2 * images * 2 * self.config.data.global_batch_size
        return super().head_bytes(images) + 3 * similarities * self._float

    def reductions(self, num_devices: int) -> tuple[int, int]:
        """Returns the gather of all embeddings, and the sum of its gradient."""
        elements = 2 * self.config.data.global_batch_size * self.config.head.embedding_dim
        return 2, 2 * elements * self._float
