"""The head of SwAV: a projection onto the unit sphere, and prototypes that score the embeddings.

The head follows VISSL's `models/heads/swav_prototypes_head.py`. As there, the initialisation is PyTorch's default for a
linear layer. There is one difference: here the prototypes have unit norm from the beginning, not only from the first
step on.

Shapes: N rows, C features, D embedding dimensions, K prototypes.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.models.embeddings import unit_norm
from seer_tf.models.heads.perceptron import Perceptron
from seer_tf.precision import at_least_float32


@keras.saving.register_keras_serializable(package="seer_tf")
class SwavHead(Perceptron):
    """A perceptron, normalisation to unit norm, and scores.

    Attributes:
        prototypes: [K, D], rows of unit norm, float32 at least.
    """

    def __init__(self, hidden_dims: Sequence[int], embedding_dim: int, num_prototypes: int, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            hidden_dims: Widths of the hidden layers.
            embedding_dim: D.
            num_prototypes: K.
            **kwargs: Further arguments of `Perceptron`.
        """
        super().__init__(hidden_dims, embedding_dim, **kwargs)
        self.num_prototypes = num_prototypes

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the layers and the prototypes."""
        super().build(input_shape)
        self.prototypes = self.add_weight(
            name="prototypes",
            shape=(self.num_prototypes, self.embedding_dim),
            initializer=_unit_rows,
            dtype=at_least_float32(self.compute_dtype),
            autocast=False,
        )

    def call(self, features: tf.Tensor, training: bool | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes embeddings and scores.

        Args:
            features: Pooled features [N, C].
            training: Whether batch normalisation uses the statistics of these rows.

        Returns:
            Embeddings [N, D] of unit norm and scores [N, K], both float32 at least.
        """
        embeddings = unit_norm(self.projected(features, training=training))  # [N, D]
        return embeddings, tf.matmul(embeddings, self.prototypes, transpose_b=True)  # [N, K]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        """Returns the shapes of embeddings and scores."""
        return (input_shape[0], self.embedding_dim), (input_shape[0], self.num_prototypes)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "num_prototypes": self.num_prototypes}


def _unit_rows(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
    """Draws the weights of a linear layer [K, D] as PyTorch does, and normalises its rows."""
    limit = shape[-1] ** -0.5
    return unit_norm(keras.initializers.RandomUniform(-limit, limit)(shape, dtype))
