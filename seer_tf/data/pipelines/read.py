"""From image numbers to pixels: the common path of all pipelines."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seer_tf.data.images import decode, formats
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.errors import InputError
from seer_tf.parallel import num_cores

#: Images per call of Python, because one call takes as long as reading a small file.
IMAGES_PER_READ = 16
_REMEDY = "make shards of the images, which leaves such files out and lists them"


class Files(NamedTuple):
    """Encoded images.

    Attributes:
        encoded: Bytes of the files, string `[n]`.
        orientations: EXIF orientations, int32 `[n]`.
        sizes: Height and width in px of the upright images, int32 `[n, 2]`.
    """

    encoded: tf.Tensor
    orientations: tf.Tensor
    sizes: tf.Tensor


def read_files(chunks: tf.data.Dataset, source: Source) -> tf.data.Dataset:
    """Reads encoded images in order.

    Args:
        chunks: Tuples whose first component holds numbers of images, int64 `[n]`; other components are passed on.
        source: Images to read.

    Returns:
        One element per chunk: `Files`, then the components of the chunk.
    """

    def read(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        encoded = [_read(source, int(number)) for number in numbers]
        orientations = [decode.exif_orientation(image) for image in encoded]
        sizes = [_upright_size(image, turn) for image, turn in zip(encoded, orientations, strict=True)]
        return np.array(encoded, object), np.array(orientations, np.int32), np.array(sizes, np.int32)

    @tf.autograph.experimental.do_not_convert
    def read_chunk(numbers: tf.Tensor, *rest: tf.Tensor) -> tuple[Any, ...]:
        encoded, orientations, sizes = tf.numpy_function(read, [numbers], (tf.string, tf.int32, tf.int32))
        num = numbers.shape[0]
        files = Files(*map(tf.ensure_shape, (encoded, orientations, sizes), ([num], [num], [num, 2])))
        return files, numbers, *rest

    return chunks.map(read_chunk, num_parallel_calls=num_cores(), deterministic=True)


def _read(source: Source, number: int) -> bytes:
    try:
        return source.read(number)
    except UnusableImageError as error:
        raise InputError(f"{source.ids[number]}: {error}; {_REMEDY}") from None


def _upright_size(encoded: bytes, orientation: int) -> tuple[int, int]:
    """Returns height and width; 1 and 1 for a broken header, which the decoder reports later."""
    try:
        header = formats.read_header(encoded)
    except UnusableImageError:
        return 1, 1
    size = (header.height_px, header.width_px)
    return size[::-1] if orientation >= 5 else size


def decode_or_nothing(encoded: tf.Tensor, orientation: tf.Tensor, shrink: tf.Tensor) -> tf.Tensor:
    """Decodes as `decode.decode_image`, but returns uint8 `[0, 0, 3]` for an image that does not decode.

    A graph has no `try`, but a dataset can leave out an element that fails. This takes a tenth of a millisecond.
    """
    one = tf.data.Dataset.from_tensors((encoded, orientation, shrink)).map(decode.decode_image).ignore_errors()
    nothing = tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))
    return one.concatenate(nothing).take(1).get_single_element()


def decode_or_name(encoded: tf.Tensor, orientation: tf.Tensor, number: tf.Tensor, source: Source) -> tf.Tensor:
    """Decodes as `decode.decode_image`, but an image that does not decode raises an error that names it.

    Args:
        encoded: Image `number` of the source, string scalar.
        orientation: EXIF orientation, integer scalar, as from `decode.exif_orientation`.
        number: Number of the image, int64 scalar.
        source: Source that holds the names.

    Returns:
        uint8 `[h, w, 3]`.

    Raises:
        tf.errors.OpError: When run; `unreadable_images_named` turns it into an `InputError`.
    """

    def fail(encoded: bytes, number: np.ndarray) -> np.ndarray:
        raise InputError(f"{source.ids[int(number)]}: {decode.reject_reason(encoded)}; {_REMEDY}")

    image = decode_or_nothing(encoded, orientation, tf.constant(0))
    image = tf.cond(tf.size(image) > 0, lambda: image, lambda: tf.numpy_function(fail, [encoded, number], tf.uint8))
    return tf.ensure_shape(image, [None, None, 3])


def decode_replacement(number: tf.Tensor, source: ReplacingSource) -> tf.Tensor:
    """Reads and decodes the replacement for image `number`, int64 scalar, which does not decode: uint8 `[h, w, 3]`."""

    def read(number: np.ndarray) -> tuple[bytes, np.int32]:
        other = source.read_replacement(int(number))
        return other, np.int32(decode.exif_orientation(other))

    encoded, orientation = tf.numpy_function(read, [number], (tf.string, tf.int32))
    return decode.decode_image(tf.ensure_shape(encoded, []), tf.ensure_shape(orientation, []))


@contextlib.contextmanager
def unreadable_images_named() -> Iterator[None]:
    """Turns the error of TensorFlow for an image that cannot be read or decoded into one sentence.

    Raises:
        InputError: An image cannot be read or decoded.
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
            f"an image of the data has a good header and cannot be decoded ({reason}); {_REMEDY}"
        ) from None


def options() -> tf.data.Options:
    """Returns options for several images at once with one thread each; splitting one image costs more than it saves."""
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return options
