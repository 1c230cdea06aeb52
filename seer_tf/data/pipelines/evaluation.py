"""Images with labels, whole, in order, once: what evaluation reads."""

import tensorflow as tf

from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines import read
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError


def labelled_dataset(source: Source, transform: Transform, *, batch_size: int) -> tf.data.Dataset:
    """Returns batches of (uint8 `[b, size, size, 3]`, int64 labels `[b]`), in the source's order, the last one partial.

    Raises:
        InputError: the source has no labels.
    """
    if source.labels is None:
        raise InputError("these images have no labels; give a folder with one sub-folder per class, or a labelled set.")
    labels = tf.data.Dataset.from_tensor_slices(source.labels)
    return tf.data.Dataset.zip(_images(source, transform), labels).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def images_dataset(source: Source, transform: Transform, *, batch_size: int) -> tf.data.Dataset:
    """Returns batches of uint8 `[b, size, size, 3]`, in the source's order, the last one partial."""
    return _images(source, transform).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _images(source: Source, transform: Transform) -> tf.data.Dataset:
    @tf.autograph.experimental.do_not_convert
    def prepare(encoded: tf.Tensor, orientation: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        return transform(read.decode_or_name(encoded, orientation, number, source))

    chunks = tf.data.Dataset.range(source.num_images).batch(read.IMAGES_PER_READ).map(lambda numbers: (numbers,))
    encoded = read.read_encoded(chunks, source)
    images = encoded.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return images.with_options(read.options())
