"""From image numbers to pixels: the common path of all pipelines."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from seer_tf.data.images import acceptance, decode
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
        encoded: Bytes of the files, string `[n]`; none of a file that must not be decoded.
        orientations: EXIF orientations, int32 `[n]`.
        sizes: Height and width in px of the upright images by their headers, int32 `[n, 2]`.
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
        encoded, orientations, sizes = zip(*(_file(source, int(number)) for number in numbers), strict=True)
        return np.array(encoded, object), np.array(orientations, np.int32), np.array(sizes, np.int32)

    @tf.autograph.experimental.do_not_convert
    def read_chunk(numbers: tf.Tensor, *rest: tf.Tensor) -> tuple[Any, ...]:
        encoded, orientations, sizes = tf.numpy_function(read, [numbers], (tf.string, tf.int32, tf.int32))
        num = numbers.shape[0]
        files = Files(*map(tf.ensure_shape, (encoded, orientations, sizes), ([num], [num], [num, 2])))
        return files, numbers, *rest

    return chunks.map(read_chunk, num_parallel_calls=num_cores(), deterministic=True)


def num_in_flight() -> int:
    """Returns the number of images that `read_files` reads at once."""
    return num_cores() * IMAGES_PER_READ


def _file(source: Source, number: int) -> tuple[bytes, int, tuple[int, int]]:
    """Returns bytes, orientation and upright size of an image; no bytes of one that must not be decoded."""
    try:
        encoded = source.read(number)
    except UnusableImageError as error:
        raise InputError(f"{source.ids[number]}: {error}; {_REMEDY}") from None
    try:
        header = acceptance.check_header(encoded)
    except UnusableImageError:
        return b"", 1, (0, 0)
    orientation = decode.exif_orientation(encoded)
    size = (header.height_px, header.width_px)
    return encoded, orientation, size[::-1] if orientation >= 5 else size


def decode_or_nothing(file: Files, shrink: tf.Tensor, *, is_verified: bool = False) -> tf.Tensor:
    """Decodes one image; one that does not decode, or has another size than its header says, has no pixels.

    A graph has no `try`, but a dataset can leave out an element that fails. This takes a tenth of a millisecond.

    Args:
        file: One image: scalars, and its size `[2]`.
        shrink: As for `decode.decode_image`.
        is_verified: Whether the image is known to decode; then an image that does not is an error.

    Returns:
        uint8 `[h, w, 3]`; h is zero without pixels.
    """
    if is_verified:
        pixels = decode.decode_image(file.encoded, file.orientations, shrink)
    else:
        one = tf.data.Dataset.from_tensors((file.encoded, file.orientations, shrink))
        nothing = tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))
        tried = one.map(decode.decode_image).ignore_errors()
        pixels = tried.concatenate(nothing).take(1).get_single_element()
    shape, ratio = tf.shape(pixels), tf.bitwise.left_shift(1, shrink)
    is_whole = tf.reduce_all(shape[:2] == (file.sizes + ratio - 1) // ratio)
    return pixels[: tf.where(is_whole, shape[0], 0)]


def decode_or_name(file: Files, number: tf.Tensor, source: Source) -> tf.Tensor:
    """Decodes one image as `decode_or_nothing`, but without pixels it raises an error that names the image.

    Args:
        file: Image `number` of the source: scalars, and its size `[2]`.
        number: Number of the image, int64 scalar.
        source: Source that holds the names.

    Returns:
        uint8 `[h, w, 3]`.

    Raises:
        tf.errors.OpError: When run; `unreadable_images_named` turns it into an `InputError`.
    """

    def fail(number: np.ndarray) -> np.ndarray:
        reason = acceptance.reject_reason(source.read(int(number)))
        raise InputError(f"{source.ids[int(number)]}: {reason}; {_REMEDY}")

    image = decode_or_nothing(file, tf.constant(0))
    image = tf.cond(tf.size(image) > 0, lambda: image, lambda: tf.numpy_function(fail, [number], tf.uint8))
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
