"""The endless stream of labelled crops: the stream of pretraining with one crop per image, and its class."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data.pipelines import read
from seer_tf.data.pipelines.order import images_at
from seer_tf.data.pipelines.pretraining import pretraining_dataset
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.parallel import num_cores
from seer_tf.quantities import percent

_MAX_BAD_FRACTION = 0.01


class SameClassSource(ReplacingSource):
    """Labelled images. The next usable image of the same class replaces a bad one."""

    _remedy = "take such images out of the labelled data, or make shards, which leave them out"

    def __init__(self, source: Source, labels: np.ndarray) -> None:
        """Wraps `source`, whose images have the classes `labels`, int `[num_images]`."""
        super().__init__(source, _MAX_BAD_FRACTION)
        self._classes = labels

    def _may_replace(self, index: int, other: int) -> bool:
        return bool(self._classes[index] == self._classes[other])

    def _allowance(self) -> str:
        return percent(_MAX_BAD_FRACTION)


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
    """Returns the endless dataset of the batches of one worker, from `first_step` on, in the order of pretraining.

    The next usable image of its class replaces a bad one. Too many bad images are an error.

    Args:
        source: Images.
        labels: Class of each image, int `[num_images]`.
        crops: Size and distortions of the one crop per image.
        local_batch_size: Images per batch of this worker.
        global_batch_size: Images per batch of all workers together.
        first_image_in_batch: Position in the global batch where the slice of this worker begins.
        seed: Seed of the order and of the crops.
        first_step: Step whose batch comes first.
        change: Further augmentation of a crop: a function of uint8 `[side, side, 3]` and a seed, int64 `[2]`, that
            returns the same shape and dtype.

    Returns:
        Pairs of crops, uint8 `[local_batch_size, side, side, 3]`, and labels, int64 `[local_batch_size]`.
    """

    @tf.autograph.experimental.do_not_convert
    def describe(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, image = local // local_batch_size, local % local_batch_size
        numbers, keys = images_at(step * global_batch_size + first_image_in_batch + image, source.num_images, seed)
        return tf.gather(tf.constant(labels, tf.int64), numbers), tf.stack([keys, numbers], axis=1)

    @tf.autograph.experimental.do_not_convert
    def join(groups: tuple[tf.Tensor], description: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        (images,), (classes, seeds) = groups, description
        if change is None:
            return images[:, 0], classes
        return tf.map_fn(lambda pair: change(*pair), (images[:, 0], seeds), fn_output_signature=tf.uint8), classes

    images = pretraining_dataset(
        SameClassSource(source, labels),
        crops,
        local_batch_size=local_batch_size,
        global_batch_size=global_batch_size,
        first_image_in_batch=first_image_in_batch,
        seed=seed,
        first_step=first_step,
    )
    elements = tf.data.Dataset.range(first_step * local_batch_size, tf.int64.max)
    chunks = elements.batch(read.IMAGES_PER_READ, drop_remainder=True)
    batches = chunks.map(describe).unbatch().batch(local_batch_size, drop_remainder=True)
    workers = 1 if change is None else num_cores()
    return tf.data.Dataset.zip(images, batches).map(join, num_parallel_calls=workers, deterministic=True)
