"""A backbone with a classifier: the result of fine-tuning, saved as a `.keras` file with the names of its classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models.encoder import Encoder


@keras.saving.register_keras_serializable(package="seer_tf")
class ImageClassifier(Encoder, keras.Model):
    """A model from uint8 images to logits.

    Attributes:
        classifier: Layer or model from pooled features [B, C] to logits [B, L].
        class_names: Names of the classes, in the order of the logits.
        transform: Arguments of the `Transform` that prepares images for classification.
    """

    def __init__(
        self,
        backbone: keras.Model,
        classifier: keras.layers.Layer,
        mean: Sequence[float],
        std: Sequence[float],
        class_names: Sequence[str],
        *,
        transform: Mapping[str, Any],
        name: str = "image_classifier",
        **kwargs: Any,
    ) -> None:
        """Joins a backbone and a classifier.

        Args:
            backbone: Model from normalised images [B, h, w, 3] to [B, h', w', C].
            classifier: Layer or model from [B, C] to logits [B, L].
            mean: Mean of the red, green and blue channel, for images between 0 and 1.
            std: Standard deviation of these channels.
            class_names: Names of the classes, in the order of the logits.
            transform: Arguments of the `Transform` for images; at least `size_px`.
            name: Name of the model.
            **kwargs: Further arguments of `keras.Model`.

        Raises:
            InputError: The number of names is not the number of logits.
        """
        super().__init__(name=name, **kwargs)
        self.backbone, self.classifier = backbone, classifier
        self.mean, self.std, self.class_names = tuple(mean), tuple(std), tuple(class_names)
        self.transform = dict(transform)
        if not classifier.built:
            classifier.build((None, backbone.output_shape[-1]))
        num_logits = classifier.compute_output_shape((None, backbone.output_shape[-1]))[-1]
        if num_logits != len(self.class_names):
            raise InputError(
                f"the classifier has {num_logits} classes, but there are {len(self.class_names)} class names; "
                "give one name for each class, in the classifier's order"
            )
        self.built = True

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the logits [B, L] for uint8 images [B, h, w, 3]."""
        return self.classifier(self.features(self.normalize(images), training=training))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "classifier": keras.saving.serialize_keras_object(self.classifier),
            "mean": self.mean,
            "std": self.std,
            "class_names": self.class_names,
            "transform": self.transform,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "ImageClassifier":
        """Makes the model that `get_config` describes, with fresh weights."""
        parts = {part: keras.saving.deserialize_keras_object(config[part]) for part in ("backbone", "classifier")}
        return cls(**{**config, **parts})
