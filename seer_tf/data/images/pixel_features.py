"""Simple features of the pixels: a baseline that learned features must beat.

Both are functions from uint8 images [B, h, w, 3] to float32 features [B, C].
"""

import tensorflow as tf

_BINS_PER_CHANNEL = 8
_THUMBNAIL_SIDE_PX = 8


def color_histogram(images: tf.Tensor) -> tf.Tensor:
    """Returns the joint histogram of red, green and blue in 8 x 8 x 8 bins, float32 [B, 512].

    The square root of each frequency makes the cosine of two histograms their Bhattacharyya coefficient.
    """
    bins = tf.cast(images, tf.int32) * _BINS_PER_CHANNEL // 256  # [B, h, w, 3]
    joint = (bins[..., 0] * _BINS_PER_CHANNEL + bins[..., 1]) * _BINS_PER_CHANNEL + bins[..., 2]  # [B, h, w]
    pixels = tf.reshape(joint, [tf.shape(joint)[0], -1])  # [B, h w]
    size = _BINS_PER_CHANNEL**3
    counts = tf.math.bincount(pixels, minlength=size, maxlength=size, axis=-1, dtype=tf.float32)  # [B, 512]
    return tf.sqrt(counts / tf.cast(tf.shape(pixels)[1], tf.float32))


def thumbnail(images: tf.Tensor) -> tf.Tensor:
    """Returns the image at 8 x 8 pixels minus its mean, float32 [B, 192]; the mean would dominate the cosine."""
    side = _THUMBNAIL_SIDE_PX
    small = tf.image.resize(images, [side, side], antialias=True)  # [B, 8, 8, 3]
    small = tf.reshape(small, [-1, side * side * 3])  # [B, 192]
    return (small - tf.reduce_mean(small, axis=1, keepdims=True)) / 255.0
