"""Decodes encoded bytes to RGB pixels. The content decides about the format; `acceptance.py` says which are decoded.

Pixels equal those of Pillow's `convert("RGB")`. A transparent image is laid over white. GIF is an exception:
TensorFlow returns no alpha for it, and transparent pixels are black. A 16-bit PNG becomes the eight bits that begin
with the highest bit that any of its pixels uses, because cameras and microscopes often write 10, 12 or 14 bits.
TensorFlow ignores the rotation in EXIF or XMP; this module applies it.
"""

import functools
import io
from collections.abc import Callable

import tensorflow as tf
from PIL import Image

from seer_tf.data.images import jpeg_xl

_EXIF_ORIENTATION = 0x0112
_ORIENTATION_MARKS = (b"Exif", b"eXIf", b"EXIF", b"tiff:Orientation")
_JPEG_START = b"\xff\xd8\xff"
_PIXELS_AT_ONCE = 1 << 18


def decode_image(
    encoded: tf.Tensor, orientation: tf.Tensor | int | None = None, shrink: tf.Tensor | None = None
) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame), BMP, WebP or JPEG XL.

    Args:
        encoded: Bytes of the file, string scalar.
        orientation: EXIF orientation 1 to 8, integer scalar, as from `exif_orientation`; None keeps the pixels as
            stored.
        shrink: Int32 scalar 0 to 3 that decodes a JPEG at 1, 1/2, 1/4 or 1/8 of its size, rounded up; None means 0.

    Returns:
        uint8 `[h, w, 3]`.

    Raises:
        tf.errors.InvalidArgumentError: When run, if the bytes are not an image in one of these formats.
    """
    is_upright = tf.constant(True) if orientation is None else tf.equal(orientation, 1)
    # Nearly every image takes the first branch, so all other cases are behind one condition: a condition takes about 50
    # microseconds, as long as decoding a tiny image.
    image = tf.cond(
        is_upright & (tf.strings.substr(encoded, 0, 3) == _JPEG_START),
        lambda: decode_jpeg(encoded, shrink),
        lambda: _decode_any(encoded, orientation, shrink),
    )
    image.set_shape([None, None, 3])
    return image


def decode_jpeg(encoded: tf.Tensor, shrink: tf.Tensor | None = None) -> tf.Tensor:
    """Decodes with the accurate transform, which equals Pillow's exactly; the default differs by up to 12 levels."""

    def decode(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    if shrink is None:
        return decode(1)
    return tf.switch_case(shrink, [functools.partial(decode, 1 << power) for power in range(4)])


def _decode_any(encoded: tf.Tensor, orientation: tf.Tensor | int | None, shrink: tf.Tensor | None) -> tf.Tensor:
    start = tf.strings.substr(encoded, 0, 4)
    image = tf.case(
        [
            (tf.strings.substr(start, 0, 3) == _JPEG_START, lambda: decode_jpeg(encoded, shrink)),
            (start == b"\x89PNG", lambda: _decode_png(encoded)),
            (start == b"RIFF", lambda: _decode_webp(encoded)),
            (tf.strings.substr(start, 0, 2) == b"BM", lambda: _decode_bmp(encoded)),
            (_is_jpeg_xl(encoded), lambda: _decode_jpeg_xl(encoded)),
        ],
        default=lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return image if orientation is None else turn_upright(image, tf.convert_to_tensor(orientation))


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    bits = tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8, fixed_length=1)[0]
    return tf.cond(bits == 16, lambda: _decode_16_bit_png(encoded), lambda: _decode_8_bit_png(encoded, bits))


def _decode_8_bit_png(encoded: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG; for b < 8 bits per channel, TensorFlow fills in an alpha of 2 ** b - 1, which is dropped here."""
    image = tf.io.decode_png(encoded, channels=4)
    filled = (bits < 8) & tf.reduce_all(image[..., 3] == tf.bitwise.left_shift(tf.ones_like(bits), bits) - 1)
    return tf.cond(filled, lambda: image[..., :3], lambda: _over_white(image))


def _decode_16_bit_png(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG with 16 bits; alpha always uses all of its bits."""
    image = tf.io.decode_png(encoded, channels=4, dtype=tf.uint16)
    largest = tf.cast(tf.reduce_max(image, axis=(0, 1))[:3], tf.int32)
    shift = tf.reduce_sum(tf.cast(tf.reduce_max(largest) >= [1 << bit for bit in range(8, 16)], tf.int32))
    shifts = tf.cast(tf.stack([shift, shift, shift, 8]), tf.uint16)
    return _over_white(image, lambda rows: tf.cast(tf.bitwise.right_shift(rows, shifts), tf.uint8))


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a WebP with the number of channels in its header; if the decoder chooses, animations corrupt the heap."""
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 0, 30), tf.uint8, fixed_length=30), tf.int32)
    kind = tf.strings.substr(encoded, 12, 4)
    has_alpha = tf.case(
        [(kind == b"VP8X", lambda: header[20] & 0x10 > 0), (kind == b"VP8L", lambda: header[24] & 0x10 > 0)],
        default=lambda: tf.constant(False),
    )
    return tf.cond(
        has_alpha,
        lambda: _over_white(tf.image.decode_webp(encoded, channels=4)[0]),
        lambda: tf.image.decode_webp(encoded, channels=3)[0],
    )


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP; the fourth byte of a 32-bit pixel is padding, as in Pillow."""
    bits = tf.io.decode_raw(tf.strings.substr(encoded, 28, 1), tf.uint8, fixed_length=1)[0]
    return tf.cond(
        bits == 32,
        lambda: tf.io.decode_bmp(encoded, channels=4)[..., :3],
        lambda: tf.io.decode_bmp(encoded, channels=3),
    )


def _is_jpeg_xl(encoded: tf.Tensor) -> tf.Tensor:
    codestream = tf.strings.substr(encoded, 0, len(jpeg_xl.CODESTREAM)) == jpeg_xl.CODESTREAM
    return codestream | (tf.strings.substr(encoded, 0, len(jpeg_xl.CONTAINER)) == jpeg_xl.CONTAINER)


def _decode_jpeg_xl(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG XL. TensorFlow accepts only its own number of channels: grey or colour, with or without alpha."""
    image = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    shape = tf.shape(image)
    has_alpha = 1 - shape[2] % 2
    color = tf.broadcast_to(image[..., : shape[2] - has_alpha], [shape[0], shape[1], 3])
    return tf.cond(has_alpha > 0, lambda: _over_white(tf.concat([color, image[..., -1:]], axis=2)), lambda: color)


def _over_white(image: tf.Tensor, as_bytes: Callable[[tf.Tensor], tf.Tensor] = lambda rows: rows) -> tf.Tensor:
    """Lays an image over white in bands of rows, because float32 takes much memory.

    Args:
        image: Image `[h, w, 4]`.
        as_bytes: Function from rows of the image to uint8 of the same shape.

    Returns:
        uint8 `[h, w, 3]`.
    """
    shape = tf.shape(image)
    band = tf.maximum(1, _PIXELS_AT_ONCE // tf.maximum(1, shape[1]))
    num_bands = -(-shape[0] // band)

    def blend(number: tf.Tensor, bands: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        rows = tf.cast(as_bytes(image[number * band : (number + 1) * band]), tf.float32)
        blended = 255.0 + rows[..., 3:] / 255.0 * (rows[..., :3] - 255.0)
        return number + 1, bands.write(number, tf.cast(tf.round(blended), tf.uint8))

    bands = tf.TensorArray(tf.uint8, num_bands, infer_shape=False, element_shape=[None, None, 3])
    _, bands = tf.while_loop(lambda number, _: number < num_bands, blend, (0, bands), parallel_iterations=1)
    return bands.concat()


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns stored pixels, uint8 `[h, w, 3]`, upright (EXIF 2.3, tag 0x0112: 5 to 8 exchange rows and columns)."""
    orientation = tf.cast(orientation, tf.int32)

    def turn() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        flip_rows = (orientation == 3) | (orientation == 4) | (orientation == 7) | (orientation == 8)
        flip_columns = (orientation == 2) | (orientation == 3) | (orientation == 6) | (orientation == 7)
        turned = tf.cond(flip_rows, lambda: tf.reverse(turned, [0]), lambda: turned)
        return tf.cond(flip_columns, lambda: tf.reverse(turned, [1]), lambda: turned)

    rotated = tf.cond(orientation > 1, turn, lambda: image)
    rotated.set_shape([None, None, 3])
    return rotated


def exif_orientation(encoded: bytes) -> int:
    """Returns the orientation of an encoded image by EXIF, or else by XMP, 1 to 8; 1 without one that can be read."""
    if not any(mark in encoded for mark in _ORIENTATION_MARKS):
        return 1
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises many kinds of errors on broken metadata; the image may still be good.
        return 1
    return orientation if orientation in range(1, 9) else 1
