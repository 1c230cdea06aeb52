"""Finds images that look alike: copies that were scaled, recompressed, or made a little brighter or darker.

Images are compared by their thumbnails of 8 x 9 pixels. A hash of the thumbnail (dHash, N. Krawetz, "Kind of like
that", 2013) has one bit for each of 8 x 8 places: whether the pixel is brighter than its right neighbour. Similar
hashes propose a pair, and the thumbnails decide. Hashes alone are not enough: most of their bits are equal for any two
objects on a plain background.
"""

import numpy as np
import tensorflow as tf

_ROWS, _COLUMNS = 8, 9
#: Shape of a thumbnail, which is uint8.
THUMBNAIL_SHAPE = (_ROWS, _COLUMNS, 3)
_GREY_WEIGHTS = np.array((0.299, 0.587, 0.114), np.float32)
# The hash of a thumbnail whose grey levels differ by less than `_LEAST_CONTRAST`; its own hash would be noise.
_FLAT = np.uint64(0)
_LEAST_CONTRAST = 8.0
# A pixel is brighter if it differs by more than this number of grey levels, so noise in an even area sets no bits.
_NOISE = 2.0
# Hashes propose a pair if they differ in at most this number of bits; then at least one of three bands is equal.
_MAX_DISTANCE = 2
_BANDS = ((0, 21), (21, 21), (42, 22))
# Two thumbnails with equal mean and contrast are alike if no level differs by more than `_LEVELS`, plus
# `_LEVELS_PER_STEP` times the mean difference between neighbours, because compression changes a detailed picture more.
# `docs/guides/preparing_data.md` shows what this finds and what it mistakes.
_LEVELS, _LEVELS_PER_STEP = 4.0, 0.75
# If very many hashes share a band, each is compared with this number of next ones in order of hash and brightness.
_NEXT_COMPARED = 64
_AT_ONCE = 1 << 14


def make_thumbnail(image: tf.Tensor) -> np.ndarray:
    """Shrinks an image, uint8 `[h, w, 3]`, to uint8 `[8, 9, 3]`."""
    return _shrunk(image).numpy()


@tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)], autograph=False)
def _shrunk(image: tf.Tensor) -> tf.Tensor:
    """Shrinks an image in a graph, because a dozen eager calls take longer than the work."""
    scale = tf.constant([_ROWS, _COLUMNS], tf.float32) / tf.cast(tf.shape(image)[:2], tf.float32)
    small = tf.raw_ops.ScaleAndTranslate(
        images=image[None],
        size=[_ROWS, _COLUMNS],
        scale=scale,
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return tf.saturate_cast(tf.round(small[0]), tf.uint8)


def find_groups(thumbnails: np.ndarray) -> list[np.ndarray]:
    """Returns the groups of at least two images that look alike, as sorted positions in `thumbnails`.

    Every image of a group looks like the first one. An image that looks only like another member is not in the group.

    Args:
        thumbnails: Thumbnails of all images, uint8 `[n, 8, 9, 3]`.
    """
    firsts = _find_firsts(thumbnails)
    others = np.flatnonzero(firsts != np.arange(len(thumbnails)))
    others = others[np.argsort(firsts[others], kind="stable")]
    starts = np.flatnonzero(np.diff(firsts[others])) + 1
    return [np.concatenate([firsts[part[:1]], part]) for part in np.split(others, starts) if len(part)]


def _find_firsts(thumbnails: np.ndarray) -> np.ndarray:
    """Returns for each image the position of the earlier image that it looks like, or its own: int64 `[n]`."""
    firsts = np.arange(len(thumbnails))
    hashes, brightness = _hash(thumbnails)
    # Shuffled, so that among many equal images nearly all have an earlier one close by.
    shuffled = np.random.default_rng(0).permutation(np.flatnonzero(hashes != _FLAT))
    for shift, width in _BANDS:
        bands = hashes >> np.uint64(shift) & np.uint64((1 << width) - 1)
        is_complete = False
        while not is_complete:
            order = shuffled[firsts[shuffled] == shuffled]
            order = order[np.lexsort((brightness[order], hashes[order], bands[order]))]
            is_complete = _compare(thumbnails, hashes[order], bands[order], order, firsts)
    while True:  # The first image of a group may itself look like an earlier one.
        before = firsts[firsts]
        moved = np.flatnonzero(before != firsts)
        if not moved.size:
            return firsts
        firsts[moved] = np.where(_are_alike(thumbnails, before[moved], moved), before[moved], moved)


def _compare(
    thumbnails: np.ndarray, hashes: np.ndarray, bands: np.ndarray, order: np.ndarray, firsts: np.ndarray
) -> bool:
    """Compares each image with the next ones in its band, and notes in `firsts` the images that look like earlier ones.

    Args:
        thumbnails: Thumbnails of all images.
        hashes: Hashes of the images to compare, uint64 `[m]`.
        bands: Bands of their hashes, sorted, uint64 `[m]`.
        order: Positions of these images, int64 `[m]`.
        firsts: First image of each group, int64 `[n]`; changed in place.

    Returns:
        Whether the comparison is complete, so that another pass over the remaining images would find nothing.
    """
    found = False
    for step in range(1, min(_NEXT_COMPARED + 1, len(order))):
        same = np.flatnonzero(bands[step:] == bands[:-step])
        if not same.size:
            return True
        near = same[np.bitwise_count(hashes[same] ^ hashes[same + step]) <= _MAX_DISTANCE]
        pairs = np.sort(np.stack([order[near], order[near + step]]), axis=0)
        earlier, later = pairs[:, (firsts[pairs] == pairs).all(axis=0)]
        alike = _are_alike(thumbnails, earlier, later)
        earlier, later = earlier[alike], later[alike]
        kept = ~np.isin(earlier, later)
        firsts[later[kept]] = earlier[kept]
        found |= bool(kept.any())
    return not found


def _hash(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the hashes of thumbnails, uint64 `[n]`, and their mean grey levels, float32 `[n]`."""
    hashes, brightness = np.empty(len(thumbnails), np.uint64), np.empty(len(thumbnails), np.float32)
    for start in range(0, len(thumbnails), _AT_ONCE):
        grey = thumbnails[start : start + _AT_ONCE].astype(np.float32) @ _GREY_WEIGHTS
        bits = np.packbits((grey[:, :, :-1] > grey[:, :, 1:] + _NOISE).reshape(len(grey), -1), axis=1)
        is_flat = np.ptp(grey, axis=(1, 2)) < _LEAST_CONTRAST
        hashes[start : start + _AT_ONCE] = np.where(is_flat, _FLAT, bits.view(">u8")[:, 0])
        brightness[start : start + _AT_ONCE] = grey.mean(axis=(1, 2))
    return hashes, brightness


def _are_alike(thumbnails: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether pairs of thumbnails, given by positions int64 `[m]` and none flat, are alike: bool `[m]`."""
    alike = np.empty(len(ones), bool)
    for start in range(0, len(ones), _AT_ONCE):
        pair = [thumbnails[positions[start : start + _AT_ONCE]].astype(np.float32) for positions in (ones, others)]
        steps = [np.abs(np.diff(part @ _GREY_WEIGHTS, axis=2)).mean(axis=(1, 2)) for part in pair]
        pair = [part - part.mean(axis=(1, 2, 3), keepdims=True) for part in pair]
        contrasts = [part.std(axis=(1, 2, 3), keepdims=True) for part in pair]
        contrast = np.sqrt(contrasts[0] * contrasts[1])
        differences = np.abs(pair[0] * (contrast / contrasts[0]) - pair[1] * (contrast / contrasts[1]))
        limits = _LEVELS + _LEVELS_PER_STEP * np.minimum(*steps)
        alike[start : start + _AT_ONCE] = differences.max(axis=(1, 2, 3)) <= limits
    return alike
