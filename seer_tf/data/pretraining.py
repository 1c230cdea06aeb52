"""The endless stream of multi-crop batches, with its position.

Element p of the stream is image `permutation(seed, p // N)[p % N]` of the N images, cropped by a seed that is a
function of (seed, epoch, image). Step t takes positions [t * G, (t + 1) * G) over all workers, G being the global
batch, each worker its slice. Everything about an element follows from p alone, so that a run continues at any step at
once.
"""

import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data import decode, multicrop, reading
from seer_tf.data.source import Source

_SHUFFLE_ROUNDS = 8


def pretraining_dataset(
    source: Source,
    crops: CropsConfig,
    *,
    local_batch_size: int,
    global_batch_size: int,
    first_image_in_batch: int,
    seed: int,
    first_step: int,
) -> tf.data.Dataset:
    """Returns the endless dataset of one worker's batches, from `first_step` on.

    Args:
        source: the images.
        crops: which crops, and how they are distorted.
        local_batch_size: images in a batch of this worker.
        global_batch_size: images in a batch of all workers together.
        first_image_in_batch: where this worker's slice of the global batch begins.
        seed: of the order and of the crops.
        first_step: the step whose batch comes first.

    Returns:
        Tuples, one component per group of crops: uint8 `[local_batch_size, num, side, side, 3]`.
    """

    # None of these has Python control flow to convert, and looking for it takes seconds.
    @tf.autograph.experimental.do_not_convert
    def order(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        step, image = local // local_batch_size, local % local_batch_size
        return images_at(step * global_batch_size + first_image_in_batch + image, source.num_images, seed)

    @tf.autograph.experimental.do_not_convert
    def crop(encoded: tf.Tensor, orientation: tf.Tensor, image: tf.Tensor, key: tf.Tensor) -> tuple:
        return multicrop.cut(decode.decode_image(encoded, orientation), crops, tf.stack([key, image]))

    @tf.autograph.experimental.do_not_convert
    def distort(groups: tuple[tf.Tensor, ...], chances: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        return tuple(_distort_batch(group, chance, crops) for group, chance in zip(groups, chances, strict=True))

    elements = tf.data.Dataset.range(first_step * local_batch_size, tf.int64.max)
    chunks = elements.batch(reading.IMAGES_PER_READ, drop_remainder=True).map(order)
    encoded = reading.read_encoded(chunks, source)
    cuts = encoded.map(crop, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    batches = cuts.batch(local_batch_size, drop_remainder=True)
    distorted = batches.map(distort, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return distorted.prefetch(tf.data.AUTOTUNE).with_options(reading.options())


def images_at(positions: tf.Tensor, num_images: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns which images stand at positions of the endless stream.

    Args:
        positions: int64 `[n]`, n known when the graph is built.
        num_images: N.
        seed: of the run.

    Returns:
        Numbers of the images, int64 `[n]`, and for their crops a key of (seed, epoch), int64 `[n]`.
    """
    # Permutations of neighbouring seeds are alike, and four rounds leave a pattern inside one: hash, and take eight.
    hashed = tf.stack(
        [
            tf.random.stateless_uniform([4], tf.stack([seed, epoch]), minval=None, maxval=None, dtype=tf.int64)
            for epoch in tf.unstack(positions // num_images)
        ]
    )
    images = tf.raw_ops.RandomIndexShuffle(
        index=positions % num_images,
        seed=tf.bitcast(hashed[:, :3], tf.uint64),
        max_index=tf.fill(positions.shape, tf.constant(num_images - 1, tf.int64)),
        rounds=_SHUFFLE_ROUNDS,
    )
    return images, hashed[:, 3]


def _distort_batch(group: tf.Tensor, chance: tf.Tensor, crops: CropsConfig) -> tf.Tensor:
    """Distorts uint8 `[B, num, S, S, 3]` by uniform numbers `[B, num, draws]`, all crops at once."""
    crop, row = tf.reshape(group, [-1, *group.shape[2:]]), tf.reshape(chance, [-1, chance.shape[-1]])
    return tf.reshape(multicrop.distort(crop, row, crops), group.shape)
