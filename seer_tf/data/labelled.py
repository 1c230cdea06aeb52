"""Images with labels, whole, in order, once: what evaluation reads."""

import tensorflow as tf

from seer_tf.data import decode, reading
from seer_tf.data.source import Source
from seer_tf.errors import InputError

_RESIZE_RATIO = 256 / 224  # The usual evaluation of ImageNet: shorter side to 256, central 224.


def labelled_dataset(source: Source, *, size_px: int, batch_size: int) -> tf.data.Dataset:
    """Returns batches of (uint8 `[b, size, size, 3]`, int64 labels `[b]`), in the source's order, the last one partial.

    Raises:
        InputError: the source has no labels.
    """
    if source.labels is None:
        raise InputError("these images have no labels; give a folder with one sub-folder per class, or a labelled set.")
    labels = tf.data.Dataset.from_tensor_slices(source.labels)
    return tf.data.Dataset.zip(_images(source, size_px), labels).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def images_dataset(source: Source, *, size_px: int, batch_size: int) -> tf.data.Dataset:
    """Returns batches of uint8 `[b, size, size, 3]`, in the source's order, the last one partial."""
    return _images(source, size_px).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _images(source: Source, size_px: int) -> tf.data.Dataset:
    @tf.autograph.experimental.do_not_convert
    def prepare(encoded: tf.Tensor, orientation: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        return resize_and_crop(decode.decode_image(encoded, orientation), size_px)

    chunks = tf.data.Dataset.range(source.num_images).batch(reading.IMAGES_PER_READ).map(lambda numbers: (numbers,))
    encoded = reading.read_encoded(chunks, source)
    images = encoded.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return images.with_options(reading.options())


def resize_and_crop(image: tf.Tensor, size_px: int) -> tf.Tensor:
    """Resizes the shorter side to size * 256 / 224, bilinear with antialias, and cuts the central square.

    Args:
        image: uint8 `[h, w, 3]`; a square of `size_px` is returned as it is.
        size_px: side of the result.

    Returns:
        uint8 `[size, size, 3]`.
    """
    shape = tf.shape(image)[:2]
    result = tf.cond(tf.reduce_all(shape == size_px), lambda: image, lambda: _resized(image, shape, size_px))
    return tf.ensure_shape(result, [size_px, size_px, 3])


def _resized(image: tf.Tensor, shape: tf.Tensor, size_px: int) -> tf.Tensor:
    shorter_px = round(size_px * _RESIZE_RATIO)
    resized = shape * shorter_px // tf.reduce_min(shape)  # torchvision's `Resize` truncates the longer side.
    offset = tf.round(tf.cast(resized - size_px, tf.float32) / 2.0)
    pixels = tf.raw_ops.ScaleAndTranslate(
        images=image[None],
        size=[size_px, size_px],
        scale=tf.cast(resized / shape, tf.float32),
        translation=-offset,
        kernel_type="triangle",
        antialias=True,
    )
    return tf.cast(tf.round(pixels[0]), tf.uint8)
