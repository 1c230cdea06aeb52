"""Encoded bytes to RGB pixels, judged by content and trusting no file.

Pixels equal Pillow's `convert("RGB")`; where there is transparency, the image is laid over white. The rotation that a
camera noted in EXIF, which TensorFlow ignores, is applied.
"""

import io
import re

import tensorflow as tf
from PIL import Image

from seer_tf.data import formats

_EXIF_ORIENTATION = 0x0112
# How TensorFlow says which operation failed, before and after what was wrong.
_OPERATION = re.compile(r"\{\{.*?\}\}|\[Op:.*")
_JPEG_START = b"\xff\xd8\xff"


def decode_image(encoded: tf.Tensor, orientation: tf.Tensor | int | None = None) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP.

    Args:
        encoded: string scalar.
        orientation: integer scalar, EXIF orientation 1 to 8 as by `exif_orientation`; None leaves the pixels as stored.

    Returns:
        uint8 `[h, w, 3]`.

    Raises:
        tf.errors.InvalidArgumentError: when run, for bytes that are no such image.
    """
    upright = tf.constant(True) if orientation is None else tf.equal(orientation, 1)
    # Nearly every image takes the first branch, so all else is behind one condition: each costs about 50
    # microseconds, as much as a tiny image itself.
    image = tf.cond(
        upright & (tf.strings.substr(encoded, 0, 3) == _JPEG_START),
        lambda: _decode_jpeg(encoded),
        lambda: _decode_any(encoded, orientation),
    )
    image.set_shape([None, None, 3])
    return image


def _decode_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """The accurate transform equals Pillow's to the bit; TensorFlow's default differs by up to 12 levels."""
    return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _decode_any(encoded: tf.Tensor, orientation: tf.Tensor | int | None) -> tf.Tensor:
    start = tf.strings.substr(encoded, 0, 4)
    image = tf.case(
        [
            (tf.strings.substr(start, 0, 3) == _JPEG_START, lambda: _decode_jpeg(encoded)),
            (start == b"\x89PNG", lambda: _decode_png(encoded)),
            (start == b"RIFF", lambda: _decode_webp(encoded)),
            (tf.strings.substr(start, 0, 2) == b"BM", lambda: _decode_bmp(encoded)),
        ],
        default=lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return image if orientation is None else _rotate(image, tf.convert_to_tensor(orientation))


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    """Adds the alpha that TensorFlow gets wrong: with b < 8 bits it fills in 2 ** b - 1 where it should 255."""
    image = tf.io.decode_png(encoded, channels=4)
    bits = tf.io.decode_raw(tf.strings.substr(encoded, 24, 1), tf.uint8, fixed_length=1)[0]
    filled = (bits < 8) & tf.reduce_all(image[..., 3] == tf.bitwise.left_shift(tf.ones_like(bits), bits) - 1)
    return tf.cond(filled, lambda: image[..., :3], lambda: _over_white(image))


def _decode_webp(encoded: tf.Tensor) -> tf.Tensor:
    """The number of channels is read from the header: to let the decoder choose corrupts the heap on animations."""
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
    """The fourth byte of a 32-bit pixel is padding, as Pillow takes it."""
    bits = tf.io.decode_raw(tf.strings.substr(encoded, 28, 1), tf.uint8, fixed_length=1)[0]
    return tf.cond(
        bits == 32,
        lambda: tf.io.decode_bmp(encoded, channels=4)[..., :3],
        lambda: tf.io.decode_bmp(encoded, channels=3),
    )


def _over_white(image: tf.Tensor) -> tf.Tensor:
    """Lays uint8 `[h, w, 4]` over white: uint8 `[h, w, 3]`."""
    color, alpha = tf.cast(image[..., :3], tf.float32), tf.cast(image[..., 3:], tf.float32) / 255.0
    return tf.cast(tf.round(255.0 + alpha * (color - 255.0)), tf.uint8)


def _rotate(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns the stored pixels upright. EXIF 2.3, tag 0x0112: 5 to 8 exchange rows and columns."""
    orientation = tf.cast(orientation, tf.int32)

    def upright() -> tf.Tensor:
        turned = tf.cond(orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
        flip_rows = (orientation == 3) | (orientation == 4) | (orientation == 7) | (orientation == 8)
        flip_columns = (orientation == 2) | (orientation == 3) | (orientation == 6) | (orientation == 7)
        turned = tf.cond(flip_rows, lambda: tf.reverse(turned, [0]), lambda: turned)
        return tf.cond(flip_columns, lambda: tf.reverse(turned, [1]), lambda: turned)

    rotated = tf.cond(orientation > 1, upright, lambda: image)
    rotated.set_shape([None, None, 3])
    return rotated


def exif_orientation(encoded: bytes) -> int:
    """Returns the EXIF orientation of an encoded image, 1 to 8; 1 where there is none or it cannot be read."""
    if b"Exif" not in encoded and b"eXIf" not in encoded and b"EXIF" not in encoded:
        return 1
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # Pillow raises nearly anything on broken metadata, and metadata must not cost an image.
        return 1
    return orientation if orientation in range(1, 9) else 1


def reject_reason(encoded: bytes) -> str | None:
    """Returns why an encoded image cannot be used, in a few words; None for a good one, which was then fully decoded.

    The claimed size is held against `formats.DECODED_BYTES_LIMIT` before anything is decoded.
    """
    reason = header_reject_reason(encoded)
    if reason is not None:
        return reason
    # Straight to the one operation where it is known: eagerly, finding the format anew takes longer than decoding.
    decoder = _decode_jpeg if formats.image_format(encoded) == "JPEG" else decode_image
    try:
        decoder(tf.constant(encoded))
    except tf.errors.OpError as error:
        return f"does not decode: {_OPERATION.sub('', error.message).strip()}"
    return None


def header_reject_reason(encoded: bytes) -> str | None:
    """Returns why the header alone rules an image out, or None. `encoded` may be the beginning of a file."""
    try:
        header = formats.read_header(encoded)
    except formats.UnusableImageError as error:
        return str(error)
    if header.decoded_bytes > formats.DECODED_BYTES_LIMIT:
        return (
            f"{header.width_px} x {header.height_px} pixels are more than "
            f"{formats.DECODED_BYTES_LIMIT // 1_000_000} MB decoded"
        )
    return None
