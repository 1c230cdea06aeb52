"""The orientation of a JPEG file, read by TensorFlow operations, so that it works inside a graph.

EXIF counts, and without an orientation in it XMP, which is XML: `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
EXIF 2.3 is a TIFF file after the mark "Exif" and two zeros. The file begins with two letters for its byte order and the
position of the first directory. The directory has the number of entries, and then the entries. Each entry has twelve
bytes: a tag, the type of its values, their number, and the value. Broken EXIF counts as little as it does in training.
"""

import tensorflow as tf

_READ_BYTES = 1 << 17  # a JPEG segment has at most half as many bytes, and EXIF is in one of the first segments
_SEGMENT, _MARK = b"\xff\xe1", b"Exif\x00\x00"
_TIFF_MARKS = (b"II*\x00", b"MM\x00*")
_XMP_MARK = b"tiff:Orientation"
_ORIENTATION = 0x0112
_ENTRY_BYTES = 12
_TYPE_BYTE, _COUNT_BYTE, _VALUE_BYTE = 2, 4, 8  # offsets in an entry
_SHORT, _LONG = 3, 4


def jpeg_orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the orientation by EXIF or XMP of an encoded image, int32 from 1 to 8; 1 if it is missing or invalid.

    Args:
        encoded: Bytes of a file, a string scalar; the orientation is read only from JPEG files.
    """
    start = tf.strings.substr(encoded, 0, _READ_BYTES)
    parts = tf.strings.split(start, _MARK, maxsplit=1)
    is_jpeg = tf.strings.substr(encoded, 0, 2) == b"\xff\xd8"
    # Two bytes between marker and mark have the length; substr does not reach beyond the beginning.
    is_segment = tf.strings.substr(b"    " + parts[0], -4, 2) == _SEGMENT
    by_exif = tf.cond(
        is_jpeg & is_segment & (tf.size(parts) == 2), lambda: _tiff_orientation(parts[1]), lambda: tf.constant(0)
    )
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
    """Returns the orientation in EXIF, at least 1; 0 where there is none, 1 in a broken file."""
    num_bytes = tf.strings.length(tiff)
    is_tiff = tf.reduce_any(tf.strings.substr(tiff, 0, 4) == _TIFF_MARKS)
    # Zeros follow the end of the file, so that a broken file causes no read outside the tensor.
    values = tf.cast(tf.io.decode_raw(tiff, tf.uint8, fixed_length=_READ_BYTES), tf.int32)
    is_little = tf.strings.substr(tiff, 0, 2) == b"II"

    def short(place: tf.Tensor) -> tf.Tensor:
        """Returns the two-byte number at each position."""
        first, second = (tf.gather(values, tf.clip_by_value(place + i, 0, _READ_BYTES - 1)) for i in range(2))
        return tf.where(is_little, first + 256 * second, 256 * first + second)

    def long(place: tf.Tensor) -> tf.Tensor:
        """Returns the four-byte number at each position; its high bytes are behind the low ones, or before them."""
        low = tf.where(is_little, 0, 2)
        return short(place + low) + 65536 * short(place + 2 - low)

    directory = long(tf.constant(4))
    entries = directory + 2 + _ENTRY_BYTES * tf.range(short(directory))
    kind = short(entries + _TYPE_BYTE)
    is_one_number = ((kind == _SHORT) | (kind == _LONG)) & (long(entries + _COUNT_BYTE) == 1)
    is_found = (short(entries) == _ORIENTATION) & is_one_number & (entries + _ENTRY_BYTES <= num_bytes)
    place = tf.concat([tf.boolean_mask(entries, is_found), [0]], axis=0)[0]
    value = place + _VALUE_BYTE
    orientation = tf.where(short(place + _TYPE_BYTE) == _SHORT, short(value), long(value))
    return tf.where(is_tiff, tf.where(tf.reduce_any(is_found), tf.maximum(orientation, 1), 0), 1)
