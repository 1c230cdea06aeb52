"""Features of images with new random crops in every epoch, for linear classifiers that are trained as in VISSL."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.pipelines.supervised import supervised_dataset
from seer_tf.data.sources.base import Source
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.label_rows import LabelRows
from seer_tf.evaluation.protocols.probe_grid import Batches
from seer_tf.finetuning.config import plain_crops


def augmented_batches(
    extractor: Extractor, source: Source, labels: np.ndarray | LabelRows, batch_size: int, *, seed: int
) -> Batches:
    """Returns batches of features from random crops. An epoch has as many full batches as the images fill.

    All epochs come from one stream, so they must be asked for in order.

    Args:
        extractor: Extractor of the features; its devices compute them.
        source: Source of the images.
        labels: Class of each image, int [num_images], or the rows of images with several classes.
        batch_size: Images in a batch; if there are fewer images, a batch has all of them.
        seed: Seed of order and crops.
    """
    batch_size = min(batch_size, source.num_images)
    stream = iter(
        supervised_dataset(
            source,
            np.arange(source.num_images),
            plain_crops(extractor.transform.size_px),
            local_batch_size=batch_size,
            global_batch_size=batch_size,
            first_image_in_batch=0,
            seed=seed,
            first_step=0,
        )
    )
    features = extractor.devices.spread(extractor.features, stream.element_spec[0])

    def batches(_: int) -> Iterable[tuple[dict[str, tf.Tensor], tf.Tensor]]:
        with unreadable_images_named():
            for _ in range(source.num_images // batch_size):
                images, numbers = next(stream)
                yield features(images), labels[numbers.numpy()]

    return batches
