"""Features of images that each epoch crops or flips again, for linear classifiers that are trained as in VISSL."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.pipelines.supervised import supervised_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.selection import Selection
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.label_rows import LabelRows
from seer_tf.evaluation.protocols.probe_grid import Batches
from seer_tf.finetuning.config import plain_crops

_FLIP_PROBABILITY = 0.5


def cropped_batches(
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


def flipped_batches(
    extractor: Extractor, source: Source, labels: np.ndarray | LabelRows, batch_size: int, *, seed: int
) -> Batches:
    """Returns batches of features from the images that the extractor's transform makes, half of them flipped.

    Each epoch has a new order and new flips. Images that do not fill a batch are left out.

    Args:
        extractor: Extractor of the features; its devices compute them.
        source: Source of the images.
        labels: Class of each image, int [num_images], or the rows of images with several classes.
        batch_size: Images in a batch; if there are fewer images, a batch has all of them.
        seed: Seed of order and flips.
    """
    batch_size = min(batch_size, source.num_images)
    count = source.num_images // batch_size * batch_size
    size = extractor.transform.size_px
    features = extractor.devices.spread(
        extractor.features, tf.TensorSpec([batch_size, size, size, 3], tf.uint8, name="images")
    )

    def batches(epoch: int) -> Iterable[tuple[dict[str, tf.Tensor], tf.Tensor]]:
        generator = np.random.default_rng([seed, epoch])
        order = generator.permutation(source.num_images)[:count]
        is_flipped = generator.random(count) < _FLIP_PROBABILITY
        images = images_dataset(Selection(source, order), extractor.transform, batch_size=batch_size)
        with unreadable_images_named():
            for start, batch in zip(range(0, count, batch_size), images, strict=True):
                part = slice(start, start + batch_size)
                flipped = tf.where(is_flipped[part, None, None, None], batch[:, :, ::-1], batch)
                yield features(flipped), labels[order[part]]

    return batches
