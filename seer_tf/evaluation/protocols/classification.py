"""Evaluation of a classifier on a labelled test set.

Shapes: N images, L classes.
"""

import numpy as np

from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.sources.base import Source
from seer_tf.distributed.inference import InferenceDevices
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import feature_batches
from seer_tf.models.tasks.classifier import ImageClassifier

_LOGITS = "logits"


def classify(
    classifier: ImageClassifier, source: Source, *, batch_size: int = 128, devices: InferenceDevices | None = None
) -> np.ndarray:
    """Returns the logits of all images in a source, prepared with the classifier's own transform, float32 [N, L].

    Args:
        classifier: Classifier; it runs in inference mode.
        source: Source of the images.
        batch_size: Number of images in a batch.
        devices: Devices that compute. The classifier must have been created in their scope. None for one device.

    Raises:
        InputError: An image cannot be read, or a logit is not a finite number.
    """
    images = images_dataset(source, Transform(**classifier.transform), batch_size=batch_size)

    def logits(batch):
        return {_LOGITS: classifier(batch, training=False)}

    batches = feature_batches(logits, images, source.ids, devices=devices, label="test images")
    return np.concatenate([batch[_LOGITS] for batch in batches])


def among_first(logits: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Returns whether the class of each image is among its k largest logits, bool [N].

    Args:
        logits: [N, L].
        labels: Int [N].
        k: Number of largest logits that count, at most L.

    Raises:
        InputError: There are fewer than k classes.
    """
    if not 1 <= k <= logits.shape[1]:
        raise InputError(f"top-{k} accuracy needs at least {k} classes, and there are {logits.shape[1]}")
    own = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)  # [N, 1]
    return np.sum(logits > own, axis=1) < k
