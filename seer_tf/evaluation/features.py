"""Features once: every image of a data set through one function, in order, into one array."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from seer_tf.data.reading import unreadable_images_named
from seer_tf.errors import InputError
from seer_tf.models import SwavModel
from seer_tf.progress import Progress

# B images, h x w pixels, C feature channels
ImageFeatures = Callable[[tf.Tensor], tf.Tensor]
"""From uint8 [B, h, w, 3] to float32 [B, C]."""


def image_features(model: SwavModel) -> ImageFeatures:
    """Returns the function from images to the pooled last stage of the backbone, batch norm in inference.

    The projection head and the prototypes serve pretraining and are left out (SwAV, section 4.1 evaluates the trunk).
    """
    return lambda images: model.features(model.normalize(images), training=False)  # [B, C]


def prototype_scores(model: SwavModel) -> ImageFeatures:
    """Returns the function from images to their prototype scores, float32 [B, K], batch norm in inference."""
    return lambda images: model((images[:, tf.newaxis],), training=False)[1]  # [B, K]


def extract(
    features: ImageFeatures, images: tf.data.Dataset, num_images: int, *, label: str = "features"
) -> np.ndarray:
    """Runs every image of a data set through `features`.

    Args:
        features: from uint8 [B, h, w, 3] to float [B, C].
        images: batches of uint8 [b, h, w, 3], each image once.
        num_images: how many images there are in all, N.
        label: what the progress line says.

    Returns:
        float32 [N, C], in the data set's order.

    Raises:
        InputError: an image cannot be read, there are more or fewer images than `num_images`, or a feature is not a
            finite number.
    """
    compiled = tf.function(features, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    chunks = []
    with Progress(num_images, "image", label) as progress, unreadable_images_named():
        for batch in images:
            chunks.append(tf.cast(compiled(batch), tf.float32).numpy())  # [b, C]
            progress.advance(len(batch))
    num_read = sum(len(chunk) for chunk in chunks)
    if num_read != num_images or not num_images:
        raise InputError(f"the data has {num_read} readable images where {num_images} were announced; prepare it again")
    extracted = np.concatenate(chunks)  # [N, C]
    if not np.isfinite(extracted).all():
        raise InputError(
            "some features are not finite numbers, so the checkpoint is of no use; evaluate an earlier one or a new run"
        )
    return extracted
