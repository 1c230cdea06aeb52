"""An encoder: a backbone, and the normalisation of its images."""

import keras
import tensorflow as tf

from seer_tf.precision import at_least_float32


class Encoder:
    """Computes features from images in two steps, for any class with a backbone, a mean and a standard deviation.

    Attributes:
        backbone: Normalised images [B, h, w, 3] to [B, h', w', C].
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
    """

    backbone: keras.Model
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def licence(self) -> str:
        """Licence of the weights, which the backbone carries; empty if unknown."""
        return getattr(self.backbone, "licence", "")

    @licence.setter
    def licence(self, licence: str) -> None:
        self.backbone.licence = licence

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Returns (images / 255 - mean) / std for uint8 images [..., 3], float32 at least."""
        dtype = at_least_float32(self.backbone.compute_dtype)
        scale = tf.constant([1.0 / (255.0 * std) for std in self.std], dtype)
        offset = tf.constant([mean / std for mean, std in zip(self.mean, self.std, strict=True)], dtype)
        return tf.cast(images, dtype) * scale - offset

    def features(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the pooled features [B, C] of normalised images [B, h, w, 3]."""
        return tf.reduce_mean(self.backbone(images, training=training), axis=[1, 2])
