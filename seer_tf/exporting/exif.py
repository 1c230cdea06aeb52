"""The orientation of a JPEG file, read by TensorFlow operations, so that it works inside a graph.

EXIF counts, and without an orientation in it XMP, which is XML: `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
EXIF 2.3 is a TIFF file after the mark "Exif" and two zeros. The file begins with two letters for its byte order and the
position of the first directory. The directory has the number of entries, and then the entries. Each entry has twelve
bytes and begins with a tag.
"""

import tensorflow as tf

_READ_BYTES = 1 << 17  # a JPEG segment has at most half as many bytes, and EXIF is in one of the first segments
_MARK = b"Exif\x00\x00"
_XMP_MARK = b"tiff:Orientation"
_ORIENTATION = 0x0112
_ENTRY_BYTES = 12
_VALUE_BYTE = 8  # offset of the value in an entry


def jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation by EXIF or XMP of an encoded image, int32 from 1 to 8; 1 if it is missing or invalid.

    Args:
        encoded: Bytes of a file, a string scalar; the orientation is read only from JPEG files.
    """
    start = tf.strings.substr(encoded, 0, _READ_BYTES)
    parts = tf.strings.split(start, _MARK, maxsplit=1)
    is_jpeg = tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"
    by_exif = tf.cond(is_jpeg & (tf.size(parts) == 2), lambda: _tiff_orientation(parts[1]), lambda: tf.constant(0))
    found = tf.cond(is_jpeg & (by_exif == 0), lambda: _xmp_orientation(start), lambda: by_exif)
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _xmp_orientation(start: tf.Tensor) -> tf.Tensor:
    """Returns the digit that follows the name in XML; 0 where there is none."""
    parts = tf.strings.split(start, _XMP_MARK, maxsplit=1)
    following = tf.concat([parts, [b""]], axis=0)[1] + b"   "  # substr does not reach beyond the end
    is_attribute = tf.strings.substr(following, 0, 2) == b'="'
    is_element = tf.strings.substr(following, 0, 1) == b">"
    digit = tf.strings.substr(following, tf.where(is_attribute, 2, 1), 1)
    is_digit = tf.reduce_any(digit == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"])
    is_there = is_digit & (is_attribute | is_element)
    return tf.strings.to_number(tf.where(is_there, digit, b"0"), tf.int32)


def _tiff_orientation(tiff: tf.Tensor) -> tf.Tensor:
    """Returns the orientation in EXIF, at least 1; 0 where there is none."""
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
    return tf.where(tf.size(found) > 0, tf.maximum(orientation, 1), 0)
