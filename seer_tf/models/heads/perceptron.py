"""The multilayer perceptron in all heads.

The initialisation is PyTorch's default for a linear layer, as in MoCo. SimCLR draws weights from N(0, 0.01^2)
(model_util.py), and BYOL from a truncated normal of deviation 1 / sqrt(width), the default of its library. Batch norm
has a momentum of 0.9 and an epsilon of 1e-5, as in SimCLR (run.py, resnet.py) and BYOL (configs/byol.py); MoCo's head
has none (moco/builder.py).

Shapes: N rows, C features, D embedding dimensions.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.models.layers import BatchNormalization
from seer_tf.precision import at_least_float32


class Perceptron(keras.layers.Layer):
    """Hidden layers (linear, batch normalisation, ReLU), then a linear layer, and batch normalisation if wanted.

    Attributes:
        linears: The linear layers.
        norms: The batch normalisations, in the order of the linear layers that they follow.
    """

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
        self._is_normalized = (*[batch_norm] * len(self.hidden_dims), final_batch_norm)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the layers."""
        widths = (input_shape[-1], *self.hidden_dims, self.embedding_dim)
        # Tuples, because a tf.train.Checkpoint silently leaves out what a Keras layer keeps in a list.
        self.linears = tuple(
            _linear(width_in, width_out, name=f"linear{number}", dtype=self.dtype_policy)
            for number, (width_in, width_out) in enumerate(zip(widths[:-1], widths[1:], strict=True), start=1)
        )
        self.norms = tuple(
            self._norm(width, f"bn{number}")
            for number, (width, normalized) in enumerate(zip(widths[1:], self._is_normalized, strict=True), start=1)
            if normalized
        )

    def _norm(self, width: int, name: str) -> BatchNormalization:
        norm = BatchNormalization(
            synchronized=self.synchronized, group_replicas=self.group_replicas, name=name, dtype=self.dtype_policy
        )
        norm.build((None, width))
        return norm

    def projected(self, features: tf.Tensor, *, training: bool | None) -> tf.Tensor:
        """Computes the outputs of the last layer.

        Args:
            features: Pooled features or embeddings [N, C].
            training: Whether batch normalisation uses the statistics of these rows.

        Returns:
            Embeddings [N, D] of any norm, float32 at least.
        """
        x, norms = features, iter(self.norms)
        for number, (layer, normalized) in enumerate(zip(self.linears, self._is_normalized, strict=True)):
            x = layer(tf.nn.relu(x) if number else x)
            x = next(norms)(x, training=training) if normalized else x
        return tf.cast(x, at_least_float32(self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        names = ("hidden_dims", "embedding_dim", "batch_norm", "final_batch_norm", "synchronized", "group_replicas")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _linear(width_in: int, width_out: int, *, name: str, dtype: Any) -> keras.layers.Dense:
    """Returns a built linear layer whose weights and biases are drawn from U(±1 / sqrt(width_in)).

    Args:
        width_in: Number of channels of the input.
        width_out: Number of channels of the output.
        name: Name of the layer.
        dtype: Dtype or dtype policy of the layer.
    """
    limit = width_in**-0.5
    layer = keras.layers.Dense(
        width_out,
        # Variance 1 / (3 width_in), uniform, is U(±1 / sqrt(width_in)).
        kernel_initializer=keras.initializers.VarianceScaling(scale=1.0 / 3.0, mode="fan_in", distribution="uniform"),
        bias_initializer=keras.initializers.RandomUniform(-limit, limit),
        name=name,
        dtype=dtype,
    )
    layer.build((None, width_in))
    return layer
