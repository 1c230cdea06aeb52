"""What is read off scores and logits: the cluster that an image is in, and its class.

Layers, so that they are part of a `.keras` file. Shapes: N images, K prototypes, L classes.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="seer_tf")
class NearestPrototype(keras.layers.Layer):
    """The prototype that an image scores highest on; the first of equals."""

    def call(self, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `cluster`, int32 [N], and `cluster_score`, float [N], of scores [N, K]."""
        # Not keras.ops.argmax: that twiddles bits, for which LiteRT has no operation.
        return {
            "cluster": tf.argmax(scores, axis=-1, output_type=tf.int32),
            "cluster_score": tf.reduce_max(scores, axis=-1),
        }


@keras.saving.register_keras_serializable(package="seer_tf")
class ClassProbabilities(keras.layers.Layer):
    """A softmax that knows what its classes are called.

    Attributes:
        class_names: Names of the classes, in the order of the probabilities.
    """

    def __init__(self, class_names: Sequence[str], **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            class_names: Names of the classes, in the order of the logits.
            **kwargs: Further arguments of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        self.class_names = tuple(class_names)

    def call(self, logits: tf.Tensor) -> tf.Tensor:
        """Returns the probabilities [N, L] of logits [N, L]."""
        return tf.nn.softmax(logits)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "class_names": list(self.class_names)}
