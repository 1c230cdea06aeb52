"""The cost of SwAV, for the planner."""

import itertools
from collections.abc import Iterator

import tensorflow as tf

from seer_tf.config import Config
from seer_tf.methods.swav.sinkhorn import working_dtype
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.models.heads.cost import FLOAT


class SwavCost:
    """A `MethodCost` of the projection head, the prototypes, Sinkhorn's algorithm and the queue."""

    followed_crops = followed_parameters = 0

    def __init__(self, config: Config) -> None:
        """Counts the head of a config."""
        head = self._head = config.head
        self._config = config
        self._widths = (backbone_cost(config.backbone).feature_width, *head.hidden_dims, head.embedding_dim)
        self._wide = 8 if config.run.precision == "float64" else FLOAT
        self.weight_sizes = list(self._sizes())
        self.prototype_parameters = head.num_prototypes * head.embedding_dim
        self.multiply_adds = sum(a * b for a, b in itertools.pairwise((*self._widths, head.num_prototypes)))
        self.normalized_widths = list(head.hidden_dims) if head.batch_norm else []
        self.trained_crops, self.num_forwards = config.crops.num, config.crops.num_forwards
        self.followed_widths: list[int] = []
        # Batch norm over all crops needs all sizes for the codes.
        self.sizes_before = len(config.crops.num) if head.batch_norm or config.crops.padded else 1

    def head_bytes(self, images: int) -> int:
        """Returns the bytes of the head.

        For every crop: scores, their softmax and its gradient. For assigning crops: scores, exponentials and codes.
        """
        head, crops = self._head, sum(self.trained_crops)
        element = 2 if self._config.run.precision.startswith("mixed") else self._wide
        hidden = crops * images * sum(head.hidden_dims) * element * (2 if head.batch_norm else 1)
        embeddings = crops * images * (self._widths[0] + 2 * self._widths[-1]) * self._wide
        scores = 3 * images * head.num_prototypes * crops * self._wide
        codes = 3 * images * head.num_prototypes * self._config.swav.num_assigning_crops * self._code_bytes()
        return hidden + embeddings + scores + codes

    def queue_bytes(self, num_devices: int) -> int:
        """Returns the bytes of the queue on every device, and of scores, exponentials and codes of a device's share."""
        swav = self._config.swav
        stored = swav.queue_length * self._head.embedding_dim * self._wide
        scores = 3 * swav.queue_length // num_devices * self._head.num_prototypes * self._code_bytes()
        return swav.num_assigning_crops * (stored + scores)

    def reductions(self, num_devices: int) -> tuple[int, int]:
        """Returns the sums of Sinkhorn's algorithm, and the gather of embeddings for the queue."""
        swav, assigning = self._config.swav, self._config.swav.num_assigning_crops
        elements = assigning * (swav.sinkhorn_iterations * self._head.num_prototypes + num_devices)
        num_bytes = elements * self._code_bytes()
        if not swav.queue_length:
            return swav.sinkhorn_iterations + 1, num_bytes
        gathered = assigning * self._config.data.global_batch_size * self._head.embedding_dim
        return swav.sinkhorn_iterations + 2, num_bytes + gathered * FLOAT

    def _code_bytes(self) -> int:
        """Returns the size in bytes of a number in Sinkhorn's algorithm."""
        return working_dtype(tf.float64 if self._wide > FLOAT else tf.float32, self._config.swav.epsilon).size

    def _sizes(self) -> Iterator[int]:
        yield self._head.num_prototypes * self._head.embedding_dim
        for width_in, width_out in itertools.pairwise(self._widths):
            yield from (width_in * width_out, width_out)
        for width in self._head.hidden_dims if self._head.batch_norm else ():
            yield from (width, width)
