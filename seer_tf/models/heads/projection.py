"""A multilayer perceptron on features or embeddings: the projection of SimCLR, MoCo v2 and BYOL, and the predictor.

Shapes: N rows, C features, D embedding dimensions.
"""

import keras
import tensorflow as tf

from seer_tf.models.heads.perceptron import Perceptron


@keras.saving.register_keras_serializable(package="seer_tf")
class Projection(Perceptron):
    """A perceptron whose outputs are the embeddings."""

    def call(self, features: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes embeddings.

        Args:
            features: Pooled features or embeddings [N, C].
            training: Whether batch normalisation uses the statistics of these rows.

        Returns:
            Embeddings [N, D] of any norm, float32 at least.
        """
        return self.projected(features, training=training)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the embeddings."""
        return input_shape[0], self.embedding_dim
