"""The last layers of a network: clusters from scores, and class probabilities from logits.

These are layers so that a `.keras` file contains them. Shapes: N images, K prototypes, L classes.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="seer_tf")
class NearestPrototype(keras.layers.Layer):
    """Finds the prototype with the highest score for each image; the first one if several are equal."""

    def call(self, scores: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns `cluster`, int32 [N], and `cluster_score`, float [N], from scores [N, K]."""
        # Not keras.ops.argmax: it needs bit operations that LiteRT lacks.
        return {
            "cluster": tf.argmax(scores, axis=-1, output_type=tf.int32),
            "cluster_score": tf.reduce_max(scores, axis=-1),
        }


@keras.saving.register_keras_serializable(package="seer_tf")
class ClassProbabilities(keras.layers.Layer):
    """A softmax that knows the names of its classes.

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
        """Returns the probabilities [N, L] for logits [N, L]."""
        return tf.nn.softmax(logits)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "class_names": list(self.class_names)}
