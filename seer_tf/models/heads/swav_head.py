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
from seer_tf.models.heads.linear import linear
from seer_tf.models.layers import BatchNormalization
from seer_tf.precision import at_least_float32


@keras.saving.register_keras_serializable(package="seer_tf")
class SwavHead(keras.layers.Layer):
    """Hidden layers (linear, batch normalisation, ReLU), then a linear layer, normalisation to unit norm, and scores.

    Attributes:
        prototypes: [K, D], rows of unit norm, float32 at least.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        embedding_dim: int,
        num_prototypes: int,
        *,
        batch_norm: bool = True,
        synchronized: bool = False,
        group_replicas: int = 0,
        name: str = "head",
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            hidden_dims: Widths of the hidden layers.
            embedding_dim: D.
            num_prototypes: K.
            batch_norm: Whether hidden layers are normalised.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            name: Name of the layer. The paths of its variables begin with this name.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(name=name, **kwargs)
        self.hidden_dims, self.embedding_dim, self.num_prototypes = tuple(hidden_dims), embedding_dim, num_prototypes
        self.batch_norm, self.synchronized, self.group_replicas = batch_norm, synchronized, group_replicas

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the layers and the prototypes."""
        self.scores_dtype = at_least_float32(self.compute_dtype)
        widths = (input_shape[-1], *self.hidden_dims, self.embedding_dim)
        # Tuples, because a tf.train.Checkpoint silently leaves out what a Keras layer keeps in a list.
        self.linears = tuple(
            linear(width_in, width_out, name=f"linear{number}", dtype=self.dtype_policy)
            for number, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1)
        )
        self.norms = tuple(
            BatchNormalization(
                synchronized=self.synchronized,
                group_replicas=self.group_replicas,
                name=f"bn{number}",
                dtype=self.dtype_policy,
            )
            for number in range(1, len(self.hidden_dims) + 1)
            if self.batch_norm
        )
        for norm, width in zip(self.norms, self.hidden_dims, strict=bool(self.norms)):
            norm.build((None, width))
        self.prototypes = self.add_weight(
            name="prototypes",
            shape=(self.num_prototypes, self.embedding_dim),
            initializer=_unit_rows,
            dtype=self.scores_dtype,
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
        x = features
        for index in range(len(self.hidden_dims)):
            x = self.linears[index](x)
            if self.batch_norm:
                x = self.norms[index](x, training=training)
            x = tf.nn.relu(x)
        x = tf.cast(self.linears[-1](x), self.scores_dtype)
        embeddings = unit_norm(x)  # [N, D]
        return embeddings, tf.matmul(embeddings, self.prototypes, transpose_b=True)  # [N, K]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        """Returns the shapes of embeddings and scores."""
        return (input_shape[0], self.embedding_dim), (input_shape[0], self.num_prototypes)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("hidden_dims", "embedding_dim", "num_prototypes", "batch_norm", "synchronized", "group_replicas")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _unit_rows(shape: Sequence[int], dtype: Any = None) -> tf.Tensor:
    """Draws the weights of a linear layer [K, D] as PyTorch does, and normalises its rows."""
    limit = shape[-1] ** -0.5
    return unit_norm(keras.initializers.RandomUniform(-limit, limit)(shape, dtype))
