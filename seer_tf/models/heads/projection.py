"""A multilayer perceptron on features or embeddings: the projection of SimCLR, MoCo v2 and BYOL, and the predictor.

The initialisation is PyTorch's default for a linear layer, as MoCo's. SimCLR draws weights from N(0, 0.01^2)
(model_util.py), and BYOL from a truncated normal of deviation 1 / sqrt(width), the default of its library. Batch norm
has a momentum of 0.9 and an epsilon of 1e-5, as in SimCLR (run.py, resnet.py) and BYOL (configs/byol.py); MoCo's head
has none (moco/builder.py).

Shapes: N rows, C features, D embedding dimensions.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.models.heads.linear import linear
from seer_tf.models.layers import BatchNormalization
from seer_tf.precision import at_least_float32


@keras.saving.register_keras_serializable(package="seer_tf")
class Projection(keras.layers.Layer):
    """Hidden layers (linear, batch normalisation, ReLU), then a linear layer, and batch normalisation if wanted."""

    def __init__(
        self,
        hidden_dims: Sequence[int],
        embedding_dim: int,
        *,
        batch_norm: bool = True,
        final_batch_norm: bool = False,
        synchronized: bool = False,
        group_replicas: int = 0,
        name: str = "head",
        **kwargs: Any,
    ) -> None:
        """Makes the layer.

        Args:
            hidden_dims: Widths of the hidden layers.
            embedding_dim: D.
            batch_norm: Whether hidden layers are normalised.
            final_batch_norm: Whether the embeddings are normalised, too.
            synchronized: As in `BatchNormalization`.
            group_replicas: As in `BatchNormalization`.
            name: Name of the layer. The paths of its variables begin with this name.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(name=name, **kwargs)
        self.hidden_dims, self.embedding_dim = tuple(hidden_dims), embedding_dim
        self.batch_norm, self.final_batch_norm = batch_norm, final_batch_norm
        self.synchronized, self.group_replicas = synchronized, group_replicas

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the layers."""
        widths = (input_shape[-1], *self.hidden_dims, self.embedding_dim)
        # Tuples, because a tf.train.Checkpoint silently leaves out what a Keras layer keeps in a list.
        self.linears = tuple(
            linear(width_in, width_out, name=f"linear{number}", dtype=self.dtype_policy)
            for number, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1)
        )
        wanted = [self.batch_norm] * len(self.hidden_dims) + [self.final_batch_norm]
        self.norms = tuple(
            self._norm(width, f"bn{number}") if normalized else None
            for number, (width, normalized) in enumerate(zip(widths[1:], wanted, strict=True), start=1)
        )

    def _norm(self, width: int, name: str) -> BatchNormalization:
        norm = BatchNormalization(
            synchronized=self.synchronized, group_replicas=self.group_replicas, name=name, dtype=self.dtype_policy
        )
        norm.build((None, width))
        return norm

    def call(self, features: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Computes embeddings.

        Args:
            features: Pooled features or embeddings [N, C].
            training: Whether batch normalisation uses the statistics of these rows.

        Returns:
            Embeddings [N, D] of any norm, float32 at least.
        """
        x = features
        for number, (layer, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = layer(tf.nn.relu(x) if number else x)
            x = x if norm is None else norm(x, training=training)
        return tf.cast(x, at_least_float32(self.compute_dtype))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the embeddings."""
        return input_shape[0], self.embedding_dim

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("hidden_dims", "embedding_dim", "batch_norm", "final_batch_norm", "synchronized", "group_replicas")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
