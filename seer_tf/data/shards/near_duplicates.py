"""Images that look alike: copies that were scaled, recompressed, or made a little brighter or darker.

What is kept of an image is its look, the image shrunk to 8 x 9. A hash of the look (dHash, N. Krawetz, "Kind of like
that", 2013) has a bit for each of 8 x 8 places: whether it is brighter than its right neighbour. Near hashes propose a
pair, and the looks decide: of things on a plain background most bits are equal, whatever the things are.
"""

import numpy as np
import tensorflow as tf

_ROWS, _COLUMNS = 8, 9
#: Shape of a look, which is uint8.
LOOK_SHAPE = (_ROWS, _COLUMNS, 3)
_GREY_WEIGHTS = np.array((0.299, 0.587, 0.114), np.float32)
# The hash of a look whose grey levels differ by less than `_LEAST_CONTRAST`: such hashes would be chance.
_FLAT = np.uint64(0)
_LEAST_CONTRAST = 8.0
# A place counts as brighter by more than so many grey levels, so that the noise of an even area sets no bits.
_NOISE = 2.0
# Hashes propose a pair when they differ in at most so many bits; then one of three bands of bits at least is equal.
_MAX_DISTANCE = 2
_BANDS = ((0, 21), (21, 21), (42, 22))
# Looks, once of one mean and contrast, are alike when no level differs by more than this and so much for each level
# between neighbours: compressing changes a picture the more, the more there is in it. What this finds and what it
# mistakes is in `docs/guides/preparing_data.md`.
_LEVELS, _LEVELS_PER_STEP = 4.0, 0.75
# Where very many hashes share a band, only so many next ones in the order of hash and brightness are compared.
_NEXT_COMPARED = 64
_AT_ONCE = 1 << 14


def look(image: tf.Tensor) -> np.ndarray:
    """Returns an image, uint8 `[h, w, 3]`, made 8 x 9: uint8 `[8, 9, 3]`."""
    return _shrunk(image).numpy()


@tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)], autograph=False)
def _shrunk(image: tf.Tensor) -> tf.Tensor:
    """A graph, since a dozen calls take longer than the work."""
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


def groups(looks: np.ndarray) -> list[np.ndarray]:
    """Returns the groups of images that look alike, each at least of two, as sorted positions in `looks`.

    All of a group look like its first image. Being alike is not carried on: what looks like another one of the group
    only is in none.

    Args:
        looks: uint8 `[n, 8, 9, 3]`.
    """
    firsts = _firsts(looks)
    others = np.flatnonzero(firsts != np.arange(len(looks)))
    others = others[np.argsort(firsts[others], kind="stable")]
    starts = np.flatnonzero(np.diff(firsts[others])) + 1
    return [np.concatenate([firsts[part[:1]], part]) for part in np.split(others, starts) if len(part)]


def _firsts(looks: np.ndarray) -> np.ndarray:
    """Returns the position of the earlier image that each looks like, or its own: int64 `[n]`."""
    firsts = np.arange(len(looks))
    hashes, brightness = _hashes(looks)
    # In no order, that of many equal ones all but a few have an earlier one beside them.
    shuffled = np.random.default_rng(0).permutation(np.flatnonzero(hashes != _FLAT))
    for shift, width in _BANDS:
        bands = hashes >> np.uint64(shift) & np.uint64((1 << width) - 1)
        is_complete = False
        while not is_complete:
            order = shuffled[firsts[shuffled] == shuffled]
            order = order[np.lexsort((brightness[order], hashes[order], bands[order]))]
            is_complete = _compare(looks, hashes[order], bands[order], order, firsts)
    while True:  # the first of some may have turned out to be like one before it
        before = firsts[firsts]
        moved = np.flatnonzero(before != firsts)
        if not moved.size:
            return firsts
        firsts[moved] = np.where(_are_alike(looks, before[moved], moved), before[moved], moved)


def _compare(looks: np.ndarray, hashes: np.ndarray, bands: np.ndarray, order: np.ndarray, firsts: np.ndarray) -> bool:
    """Compares each image with the next ones of its band, and notes in `firsts` what looks like an earlier one.

    Args:
        looks: of all images.
        hashes: uint64 `[m]`, of the images to compare.
        bands: uint64 `[m]`, sorted.
        order: int64 `[m]`, the positions of these images.
        firsts: int64 `[n]`, changed.

    Returns:
        Whether to compare what is left once more would find nothing else.
    """
    found = False
    for step in range(1, min(_NEXT_COMPARED + 1, len(order))):
        same = np.flatnonzero(bands[step:] == bands[:-step])
        if not same.size:
            return True
        near = same[np.bitwise_count(hashes[same] ^ hashes[same + step]) <= _MAX_DISTANCE]
        pairs = np.sort(np.stack([order[near], order[near + step]]), axis=0)
        earlier, later = pairs[:, (firsts[pairs] == pairs).all(axis=0)]
        alike = _are_alike(looks, earlier, later)
        earlier, later = earlier[alike], later[alike]
        kept = ~np.isin(earlier, later)
        firsts[later[kept]] = earlier[kept]
        found |= bool(kept.any())
    return not found


def _hashes(looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the hashes of looks, uint64 `[n]`, and their mean grey levels, float32 `[n]`."""
    hashes, brightness = np.empty(len(looks), np.uint64), np.empty(len(looks), np.float32)
    for start in range(0, len(looks), _AT_ONCE):
        grey = looks[start : start + _AT_ONCE].astype(np.float32) @ _GREY_WEIGHTS
        bits = np.packbits((grey[:, :, :-1] > grey[:, :, 1:] + _NOISE).reshape(len(grey), -1), axis=1)
        is_flat = np.ptp(grey, axis=(1, 2)) < _LEAST_CONTRAST
        hashes[start : start + _AT_ONCE] = np.where(is_flat, _FLAT, bits.view(">u8")[:, 0])
        brightness[start : start + _AT_ONCE] = grey.mean(axis=(1, 2))
    return hashes, brightness


def _are_alike(looks: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns whether the looks at these positions, both int64 `[m]`, none flat, are alike: bool `[m]`."""
    alike = np.empty(len(ones), bool)
    for start in range(0, len(ones), _AT_ONCE):
        pair = [looks[positions[start : start + _AT_ONCE]].astype(np.float32) for positions in (ones, others)]
        steps = [np.abs(np.diff(part @ _GREY_WEIGHTS, axis=2)).mean(axis=(1, 2)) for part in pair]
        pair = [part - part.mean(axis=(1, 2, 3), keepdims=True) for part in pair]
        contrasts = [part.std(axis=(1, 2, 3), keepdims=True) for part in pair]
        contrast = np.sqrt(contrasts[0] * contrasts[1])
        differences = np.abs(pair[0] * (contrast / contrasts[0]) - pair[1] * (contrast / contrasts[1]))
        limits = _LEVELS + _LEVELS_PER_STEP * np.minimum(*steps)
        alike[start : start + _AT_ONCE] = differences.max(axis=(1, 2, 3)) <= limits
    return alike
