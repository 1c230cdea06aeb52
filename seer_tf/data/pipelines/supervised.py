"""The endless stream of crops with labels: that of pretraining with one crop of each image, and the image's class."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data.pipelines import read
from seer_tf.data.pipelines.pretraining import images_at, pretraining_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.errors import InputError
from seer_tf.parallel import num_cores


class IrreplaceableSource(ReplacingSource):
    """Images for which no other may stand in, since it would have another class."""

    def __init__(self, source: Source) -> None:
        """Wraps `source`."""
        super().__init__(source, max_bad_fraction=0.0)

    def _replaced(self, index: int, reason: str) -> bytes:
        raise InputError(
            f"{self.ids[index]}: {reason}; take it out of the labelled data, or make shards, which leave it out"
        )


def supervised_dataset(
    source: Source,
    labels: np.ndarray,
    crops: CropsConfig,
    *,
    local_batch_size: int,
    global_batch_size: int,
    first_image_in_batch: int,
    seed: int,
    first_step: int,
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Returns the endless dataset of one worker's batches, from `first_step` on, in the order of pretraining.

    A bad image is an error when it is read.

    Args:
        source: the images.
        labels: their classes, int `[num_images]`.
        crops: one crop of each image.
        local_batch_size: images in a batch of this worker.
        global_batch_size: images in a batch of all workers together.
        first_image_in_batch: where this worker's slice of the global batch begins.
        seed: of the order and of the crops.
        first_step: the step whose batch comes first.
        change: what else is done to a crop, from uint8 `[side, side, 3]` and a seed of its own, int64 `[2]`, to the
            same shape and type.

    Returns:
        Pairs of crops, uint8 `[local_batch_size, side, side, 3]`, and labels, int64 `[local_batch_size]`.
    """

    @tf.autograph.experimental.do_not_convert
    def described(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, image = local // local_batch_size, local % local_batch_size
        numbers, keys = images_at(step * global_batch_size + first_image_in_batch + image, source.num_images, seed)
        return tf.gather(tf.constant(labels, tf.int64), numbers), tf.stack([keys, numbers], axis=1)

    @tf.autograph.experimental.do_not_convert
    def together(groups: tuple[tf.Tensor], description: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        (images,), (classes, seeds) = groups, description
        if change is None:
            return images[:, 0], classes
        return tf.map_fn(lambda pair: change(*pair), (images[:, 0], seeds), fn_output_signature=tf.uint8), classes

    images = pretraining_dataset(
        IrreplaceableSource(source),
        crops,
        local_batch_size=local_batch_size,
        global_batch_size=global_batch_size,
        first_image_in_batch=first_image_in_batch,
        seed=seed,
        first_step=first_step,
    )
    elements = tf.data.Dataset.range(first_step * local_batch_size, tf.int64.max)
    chunks = elements.batch(read.IMAGES_PER_READ, drop_remainder=True)
    batches = chunks.map(described).unbatch().batch(local_batch_size, drop_remainder=True)
    workers = 1 if change is None else num_cores()
    return tf.data.Dataset.zip(images, batches).map(together, num_parallel_calls=workers, deterministic=True)
