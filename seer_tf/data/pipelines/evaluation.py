"""Batches for evaluation: every image once, in order, without distortions."""

import tensorflow as tf

from seer_tf.data.images.transform import Transform, WholeImage
from seer_tf.data.pipelines import read
from seer_tf.data.sources.base import Source


def images_dataset(source: Source, transform: Transform | WholeImage, *, batch_size: int) -> tf.data.Dataset:
    """Returns batches of uint8 `[b, size, size, 3]` in the order of the source; the last batch may be smaller.

    Whole images have sizes of their own, and are batches of one. An image that does not decode is an error; iterate
    inside of `read.unreadable_images_named`.
    """

    @tf.autograph.experimental.do_not_convert
    def prepare(file: read.Files, number: tf.Tensor) -> tf.Tensor:
        return transform(read.decode_or_name(file, number, source))

    chunks = tf.data.Dataset.range(source.num_images).batch(read.IMAGES_PER_READ)
    files = read.read_files(chunks.map(lambda numbers: (numbers,)), source)
    images = files.unbatch().map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return images.batch(batch_size).prefetch(tf.data.AUTOTUNE).with_options(read.options())
