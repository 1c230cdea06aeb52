"""Decides which images are accepted, in shards, files, evaluation and detection, and why others are refused.

`graph_acceptance.py` is the same definition in operations of TensorFlow, for exported networks.
"""

import re

import numpy as np
import tensorflow as tf

from seer_tf.data.images import decode, formats, limits
from seer_tf.data.images.formats import UnusableImageError

# TensorFlow names the failed operation before and after the reason.
_OPERATION = re.compile(r"\{\{.*?\}\}|\[Op:.*")
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"


def header_reject_reason(encoded: bytes) -> str | None:
    """Returns the reason to refuse an image before it is decoded, in a few words; None for a good header.

    Args:
        encoded: The file or its beginning; only these bytes are judged.
    """
    try:
        check_header(encoded)
    except UnusableImageError as error:
        return str(error)
    return None


def check_header(encoded: bytes) -> formats.Header:
    """Returns format and size of an image that may be decoded, from the file or its beginning.

    Raises:
        UnusableImageError: The format is not supported, the header is broken, or decoding would cost too much.
    """
    header = formats.read_header(encoded)
    if len(encoded) > limits.ENCODED_BYTES.largest:
        raise UnusableImageError(limits.ENCODED_BYTES.refused(len(encoded)))
    if header.decoded_bytes > limits.DECODED_BYTES.largest:
        raise UnusableImageError(limits.DECODED_BYTES.refused(header.size))
    for limit, number in (
        (limits.JPEG_SCANS, formats.num_scans(encoded)),
        (limits.PNG_TEXTS, formats.num_packed_texts(encoded)),
    ):
        if number > limit.largest:
            raise UnusableImageError(limit.refused(number))
    return header


def decoded(encoded: bytes) -> tf.Tensor:
    """Decodes an image as it is stored, uint8 `[h, w, 3]`.

    Raises:
        UnusableImageError: The header is refused, the image does not decode, or its pixels have another size than the
            header says.
    """
    header = check_header(encoded)
    # A JPEG goes directly to its decoder: in eager mode, finding the format again takes longer than decoding.
    decoder = decode.decode_jpeg if header.format == "JPEG" else decode.decode_image
    try:
        image = decoder(tf.constant(encoded))
    except tf.errors.OpError as error:
        raise UnusableImageError(f"does not decode: {_OPERATION.sub('', error.message).strip()}") from None
    height, width = image.shape[:2]
    if (height, width) != (header.height_px, header.width_px):
        raise UnusableImageError(f"header and pixels differ in size: {header.size} and {width} x {height}")
    return image


def reject_reason(encoded: bytes) -> str | None:
    """Decodes an image and returns why it cannot be used, in a few words; None for a good image."""
    try:
        decoded(encoded)
    except UnusableImageError as error:
        return str(error)
    return None


def upright(encoded: bytes) -> np.ndarray:
    """Decodes an image and turns it upright, uint8 `[h, w, 3]`.

    Raises:
        UnusableImageError: As for `decoded`.
    """
    return decode.turn_upright(decoded(encoded), decode.exif_orientation(encoded)).numpy()


def complete_jpeg(encoded: bytes) -> bytes | None:
    """Returns a truncated JPEG with an end marker, so that it decodes; the missing part is grey or coarse.

    Returns None if the file is not a JPEG or does not decode even so.
    """
    completed = encoded + _JPEG_END
    if not encoded.startswith(_JPEG_START) or reject_reason(completed) is not None:
        return None
    return completed
