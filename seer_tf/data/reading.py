"""From image numbers to pixels: the one path that pretraining and evaluation read by."""

import contextlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from seer_tf.data import decode
from seer_tf.data.source import Source
from seer_tf.errors import InputError

#: Several images to a call, because a call into Python costs as much as reading a small file.
IMAGES_PER_READ = 16


def read_encoded(chunks: tf.data.Dataset, source: Source) -> tf.data.Dataset:
    """Reads encoded images, in order.

    Args:
        chunks: tuples whose first component are numbers of images, int64 `[n]`; the other components go along.
        source: what to read from.

    Returns:
        One element per image: (encoded string, EXIF orientation int32, then the components of `chunks`).
    """

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        encoded = [source.read(int(number)) for number in numbers]
        return np.array(encoded, object), np.array([decode.exif_orientation(image) for image in encoded], np.int32)

    @tf.autograph.experimental.do_not_convert
    def read_chunk(numbers: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        encoded, orientations = tf.numpy_function(read, [numbers], (tf.string, tf.int32))
        return tf.ensure_shape(encoded, [None]), tf.ensure_shape(orientations, [None]), numbers, *rest

    return chunks.map(read_chunk, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).unbatch()


@contextlib.contextmanager
def unreadable_images_named() -> Iterator[None]:
    """Turns what TensorFlow says of an image that cannot be read or decoded into one sentence.

    Raises:
        InputError: in place of TensorFlow's error.
    """
    try:
        yield
    except tf.errors.OpError as error:
        ours = re.search(r"InputError: (.*)", str(error))
        if ours:
            raise InputError(ours[1]) from None
        if not isinstance(error, tf.errors.InvalidArgumentError) or "IteratorGetNext" not in str(error):
            raise
        reason = error.message.splitlines()[0].rpartition("}} ")[2]
        raise InputError(
            f"an image of the data has a good header and cannot be decoded ({reason}); make shards of the images with "
            "experiments/prepare_shards.py, which leaves such files out and lists them"
        ) from None


def options() -> tf.data.Options:
    """Several images at once, each on one thread: to cut one image's work into pieces costs more than it brings."""
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return options
