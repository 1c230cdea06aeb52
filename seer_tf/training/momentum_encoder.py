"""A momentum encoder: a second network whose weights follow those of the trained one (MoCo, BYOL).

Its weights are a moving average, so no gradient reaches them. Like the trained network's, its batch normalisation uses
the statistics of the step's images. It has moving statistics of its own, as in the released code of both methods.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


class MomentumEncoder:
    """The network with averaged weights.

    Attributes:
        model: The network. It has the initial weights of the trained one.
    """

    def __init__(self, model: keras.Model, trained: Sequence[keras.Variable]) -> None:
        """Pairs the weights of two networks. Call it inside the scope of the strategy.

        Args:
            model: The network, with the initial weights of the trained one.
            trained: Weights of the trained network in the same order; more may follow.
        """
        self.model = model
        pairs = zip(model.trainable_variables, trained, strict=False)
        self._pairs = [(weight.value, of_trained.value) for weight, of_trained in pairs]

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns weights and moving statistics by their names in a checkpoint."""
        return {f"momentum_encoder/{variable.path}": variable.value for variable in self.model.variables}

    def embed(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the network's embeddings [N, D] of images [N, s, s, 3], through which no gradient flows."""
        return tf.stop_gradient(self.model(images, training=True))

    def followed(self, momentum: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the weights with their new values: momentum * weight + (1 - momentum) * trained weight.

        Call it after the optimizer has updated the trained weights.

        Args:
            momentum: Share of the old value, a float64 scalar.
        """
        updates = []
        for weight, trained in self._pairs:
            share = tf.cast(1 - momentum, weight.dtype)
            updates.append((weight, weight + share * (trained - weight)))
        return updates
