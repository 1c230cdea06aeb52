"""The EXIF orientation of a JPEG file, read by TensorFlow operations, so that it works inside a graph.

EXIF 2.3 is a TIFF file after the mark "Exif" and two zeros. The file begins with two letters for its byte order and the
position of the first directory. The directory has the number of entries, and then the entries. Each entry has twelve
bytes and begins with a tag.
"""

import tensorflow as tf

_READ_BYTES = 1 << 17  # a JPEG segment has at most half as many bytes, and EXIF is in one of the first segments
_MARK = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_ENTRY_BYTES = 12
_VALUE_BYTE = 8  # offset of the value in an entry


def jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of an encoded image, int32 from 1 to 8; 1 if it is missing or invalid.

    Args:
        encoded: Bytes of a file, a string scalar; the orientation is read only from JPEG files.
    """
    parts = tf.strings.split(tf.strings.substr(encoded, 0, _READ_BYTES), _MARK, maxsplit=1)
    is_there = (tf.size(parts) == 2) & (tf.strings.substr(encoded, 0, 2) == b"\xff\xd8")
    return tf.cond(is_there, lambda: _tiff_orientation(parts[1]), lambda: tf.constant(1))


def _tiff_orientation(tiff: tf.Tensor) -> tf.Tensor:
    num_bytes = tf.strings.length(tiff)
    # Zeros follow the end of the file, so that a broken file causes no read outside the tensor.
    values = tf.cast(tf.io.decode_raw(tiff, tf.uint8, fixed_length=_READ_BYTES), tf.int32)
    is_little = tf.strings.substr(tiff, 0, 2) == b"II"

    def number(place: tf.Tensor) -> tf.Tensor:
        """Returns the two-byte number at each position."""
        first, second = (tf.gather(values, tf.clip_by_value(place + i, 0, _READ_BYTES - 1)) for i in range(2))
        return tf.where(is_little, first + 256 * second, 256 * first + second)

    directory = number(tf.where(is_little, 4, 6))  # the low two bytes suffice, because the directory is in this segment
    entries = directory + 2 + _ENTRY_BYTES * tf.range(number(directory))
    found = tf.boolean_mask(entries, (number(entries) == _ORIENTATION) & (entries + _ENTRY_BYTES <= num_bytes))
    orientation = number(tf.concat([found, [0]], axis=0)[0] + _VALUE_BYTE)
    return tf.where((tf.size(found) > 0) & (orientation >= 1) & (orientation <= 8), orientation, 1)
