"""The definition in `acceptance.py` as operations of TensorFlow, for networks that leave this program.

An exported network has no Python, so it reads the sizes from the bytes by itself. The size of a JPEG comes from the
decoder's own reader.
"""

from collections.abc import Sequence

import tensorflow as tf

from seer_tf.data.images import formats, jpeg_xl, limits

_START_BYTES = 128
_BOX_NAMES = (b"jxlc", b"jxlp")


def accepted_size(encoded: tf.Tensor) -> tf.Tensor:
    """Returns height and width of an encoded image as it is stored, int64 `[2]`; zeros for one that is refused.

    Args:
        encoded: Bytes of the file, string scalar.

    Raises:
        tf.errors.InvalidArgumentError: When run, if the header of a JPEG is broken.
    """
    start = _numbers(tf.strings.substr(encoded, 0, _START_BYTES))
    begins = lambda magic: tf.reduce_all(start[: len(magic)] == list(magic))  # noqa: E731
    size, frames_bytes, bytes_per_px = tf.case(
        [
            (begins(b"\xff\xd8\xff"), lambda: _jpeg(encoded)),
            (begins(b"\x89PNG\r\n\x1a\n"), lambda: _png(encoded, start)),
            (begins(b"GIF8"), lambda: _gif(encoded, start)),
            (begins(b"BM"), lambda: _plain(_bmp_size(start))),
            (begins(b"RIFF"), lambda: _plain(_webp_size(start))),
            (begins(jpeg_xl.CODESTREAM) | begins(jpeg_xl.CONTAINER), lambda: _plain(_jpeg_xl_size(encoded))),
        ],
        default=lambda: _plain(_refused()),
    )
    pixels = tf.reduce_prod(tf.cast(size, tf.float64))
    decoded_bytes = bytes_per_px * pixels + frames_bytes
    is_accepted = (tf.reduce_min(size) > 0) & (decoded_bytes <= limits.DECODED_BYTES.largest)
    is_accepted &= tf.strings.length(encoded) <= limits.ENCODED_BYTES.largest
    return tf.where(is_accepted, size, _refused())


def _refused() -> tf.Tensor:
    return tf.zeros([2], tf.int64)


def _plain(size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns size, bytes of the frames, and bytes per pixel of an image with one frame of eight bits."""
    return size, tf.constant(0.0, tf.float64), tf.constant(4.0, tf.float64)


def _numbers(encoded: tf.Tensor, length: int = _START_BYTES) -> tf.Tensor:
    """Returns bytes as int64 `[length]`, with zeros behind their end."""
    return tf.cast(tf.io.decode_raw(encoded, tf.uint8, fixed_length=length), tf.int64)


def _joined(numbers: tf.Tensor, places: Sequence[int]) -> tf.Tensor:
    """Returns the number that bytes make, int64; `places` are those of the bytes, the largest first."""
    result = tf.constant(0, tf.int64)
    for place in places:
        result = 256 * result + numbers[place]
    return result


def _count(encoded: tf.Tensor, name: bytes, most: int) -> tf.Tensor:
    """Returns the number of times that a name is in the bytes, at most `most`."""
    return tf.size(tf.strings.split(encoded, name, maxsplit=most)) - 1


def _jpeg(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    num_scans = _count(encoded, formats.JPEG_SCAN, limits.JPEG_SCANS.largest + 1)
    size = tf.cast(tf.image.extract_jpeg_shape(encoded)[:2], tf.int64)
    return _plain(tf.where(num_scans > limits.JPEG_SCANS.largest, _refused(), size))


def _png(encoded: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    most = limits.PNG_TEXTS.largest + 1
    num_texts = tf.add_n([_count(encoded, name, most) for name in sorted(formats.PNG_PACKED_TEXTS)])
    size = tf.stack([_joined(start, range(20, 24)), _joined(start, range(16, 20))])
    size = tf.where(num_texts > limits.PNG_TEXTS.largest, _refused(), size)
    return size, tf.constant(0.0, tf.float64), tf.where(start[24] == 16, tf.constant(8.0, tf.float64), 4.0)


def _bmp_size(start: tf.Tensor) -> tf.Tensor:
    header_bytes, bits = _joined(start, (17, 16, 15, 14)), _joined(start, (29, 28))
    width, height = (
        tf.cast(tf.bitcast(tf.cast(_joined(start, places), tf.uint32), tf.int32), tf.int64)
        for places in ((21, 20, 19, 18), (25, 24, 23, 22))
    )
    compression = _joined(start, (33, 32, 31, 30))
    masks = tf.stack([_joined(start, range(place + 3, place - 1, -1)) for place in (54, 58, 62)])
    in_order = (compression == 0) | ((compression == 3) & tf.reduce_all(masks == list(formats.BMP_MASKS)))
    is_known = (header_bytes >= 40) & ((bits == 24) | (bits == 32)) & in_order
    return tf.where(is_known, tf.stack([tf.abs(height), width]), _refused())


def _webp_size(start: tf.Tensor) -> tf.Tensor:
    kind = start[12:16]
    is_extended, is_lossless = (tf.reduce_all(kind == list(name)) for name in (b"VP8X", b"VP8L"))
    extended = 1 + tf.stack([_joined(start, (29, 28, 27)), _joined(start, (26, 25, 24))])
    bits = _joined(start, (24, 23, 22, 21))
    lossless = 1 + tf.stack([bits // (1 << 14) % (1 << 14), bits % (1 << 14)])
    lossy = tf.stack([_joined(start, (29, 28)), _joined(start, (27, 26))]) % (1 << 14)
    size = tf.where(is_extended, extended, tf.where(is_lossless, lossless, lossy))
    is_animated = is_extended & (start[20] // formats.WEBP_ANIMATION % 2 == 1)
    is_webp = tf.reduce_all(start[8:12] == list(b"WEBP"))
    return tf.where(is_webp & ~is_animated, size, _refused())


def _gif(encoded: tf.Tensor, start: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Follows the blocks, as `formats.py` does; the largest frame counts, and the bytes of all."""
    length = tf.strings.length(encoded)
    values = tf.concat([tf.io.decode_raw(encoded, tf.uint8), tf.zeros([16], tf.uint8)], axis=0)

    def number(place: tf.Tensor) -> tf.Tensor:
        return tf.cast(values[tf.minimum(place, length)], tf.int32)

    def palette_bytes(flags: tf.Tensor) -> tf.Tensor:
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def is_block(place: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
        kind = number(place)
        return (place < length) & ((kind == formats.GIF_EXTENSION) | (kind == formats.GIF_FRAME))

    def follow(place: tf.Tensor, size: tf.Tensor, num_bytes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        is_frame = (number(place) == formats.GIF_FRAME) & (place + 9 <= length)
        sides = [number(place + low) + 256 * number(place + low + 1) for low in (7, 5)]
        frame = tf.where(is_frame, tf.cast(tf.stack(sides), tf.int64), _refused())
        data = place + tf.where(is_frame, 11 + palette_bytes(number(place + 9)), 2)
        (end,) = tf.while_loop(lambda p: number(p) > 0, lambda p: (p + 1 + number(p),), (data,))
        return end + 1, tf.maximum(size, frame), num_bytes + tf.reduce_prod(tf.cast(frame, tf.float64))

    screen = tf.stack([_joined(start, (9, 8)), _joined(start, (7, 6))])
    first = 13 + palette_bytes(number(tf.constant(10)))
    _, size, num_bytes = tf.while_loop(is_block, follow, (first, _refused(), tf.constant(0.0, tf.float64)))
    return tf.where(tf.reduce_max(size) > 0, size, screen), num_bytes, tf.constant(4.0, tf.float64)


def _jpeg_xl_size(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the header as `jpeg_xl.py` does, in bits, the lowest first."""
    codestream = _codestream(encoded)
    numbers = _numbers(tf.strings.substr(codestream, 2, 32), 32)
    bits = tf.reshape(numbers[:, None] // [1 << bit for bit in range(8)] % 2, [-1])

    def take(place: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
        places = tf.range(30, dtype=tf.int64)
        chosen = tf.where(places < count, tf.gather(bits, tf.minimum(place + places, 255)), 0)
        return tf.reduce_sum(chosen * [1 << bit for bit in range(30)])

    def side(place: tf.Tensor, is_small: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        count = tf.gather(tf.constant(jpeg_xl.SIZE_BITS, tf.int64), take(place, 2))
        length = tf.where(is_small, 8 * (1 + take(place, 5)), 1 + take(place + 2, count))
        return length, place + tf.where(is_small, tf.constant(5, tf.int64), 2 + count)

    def size(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        is_small = take(place, 1) > 0
        height, place = side(place + 1, is_small)
        ratio, place = take(place, 3), place + 3
        width, behind = side(place, is_small)
        shares = tf.constant([(0, 1), *jpeg_xl.RATIOS[1:]], tf.int64)
        over, under = tf.unstack(tf.gather(shares, ratio))
        has_width = ratio == 0
        sides = tf.stack([height, tf.where(has_width, width, height * over // under)])
        return sides, tf.where(has_width, behind, place)

    found, place = size(tf.constant(0, tf.int64))
    has_extra = (take(place, 1) == 0) & (take(place + 1, 1) > 0)
    is_turned = take(place + 2, 3) >= 4
    _, behind = size(place + 6)
    flags = tf.where(take(place + 5, 1) > 0, behind, place + 6)
    is_plain = take(flags, 2) == 0
    found = tf.where(has_extra & is_turned, tf.reverse(found, [0]), found)
    return tf.where(has_extra & ~is_plain, _refused(), found)


def _codestream(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the codestream or its first part; in a container it follows the header of a box."""

    def header(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns name and length of the box at a place, and the length of its header."""
        box = _numbers(tf.strings.substr(encoded, tf.minimum(place, tf.strings.length(encoded)), 16), 16)
        short, is_long = _joined(box, range(4)), _joined(box, range(4)) == 1
        length = tf.where(is_long, _joined(box, range(8, 16)), short)
        return box[4:8], length, tf.where(is_long, tf.constant(16, tf.int64), 8)

    def is_wanted(name: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any([tf.reduce_all(name == list(wanted)) for wanted in _BOX_NAMES])

    def is_other(place: tf.Tensor) -> tf.Tensor:
        name, length, header_bytes = header(place)
        return ~is_wanted(name) & (length >= header_bytes)

    def boxed() -> tf.Tensor:
        (place,) = tf.while_loop(
            is_other, lambda place: (place + tf.cast(header(place)[1], tf.int32),), (tf.constant(0),)
        )
        name, _, header_bytes = header(place)
        start = place + tf.cast(header_bytes, tf.int32) + tf.where(name[3] == ord("p"), 4, 0)
        return tf.where(is_wanted(name), tf.strings.substr(encoded, start, 64), b"")

    is_bare = tf.strings.substr(encoded, 0, len(jpeg_xl.CODESTREAM)) == jpeg_xl.CODESTREAM
    return tf.cond(is_bare, lambda: encoded, boxed)
