"""The cost of MoCo, for the planner."""

from seer_tf.methods.moco.config import MocoConfig
from seer_tf.models.projection_cost import ProjectionCost


class MocoCost(ProjectionCost):
    """One view through the trained network, the other through the key encoder, and the queue."""

    config: MocoConfig
    trained_crops: tuple[int, ...] = (1,)
    followed_crops = 1

    def head_bytes(self, images: int) -> int:
        """Returns the bytes of the projection, and of similarities, softmax and its gradient."""
        return super().head_bytes(images) + 3 * images * (1 + self.config.moco.queue_length) * self._float

    def queue_bytes(self, num_devices: int) -> int:
        """Returns the bytes of the queue and of its next value."""
        return 2 * self.config.moco.queue_length * self.config.head.embedding_dim * self._float

    def reductions(self, num_devices: int) -> tuple[int, int]:
        """Returns the gathers of keys for the queue, and of queries for the log."""
        return 2, 2 * self.config.data.global_batch_size * self.config.head.embedding_dim * self._float
