"""Images that look alike, by a perceptual hash: copies that were scaled, recompressed or slightly edited.

The hash (dHash, N. Krawetz, "Kind of like that", 2013) has a bit for each of 8 x 8 places: whether it is brighter than
its right neighbour in the image shrunk to 8 x 9 grey levels.
"""

import numpy as np
import tensorflow as tf

_ROWS, _COLUMNS = 8, 9
_GREY_WEIGHTS = (0.299, 0.587, 0.114)
#: What an image gets whose grey levels differ by less than `_LEAST_CONTRAST`: such hashes would be chance.
FLAT = 0
_LEAST_CONTRAST = 8.0
#: Two images look alike when their hashes differ in at most so many bits.
MAX_DISTANCE = 2
# Where two hashes differ in at most two bits, at least one of three bands of bits is equal.
_BANDS = ((0, 21), (21, 21), (42, 22))


def perceptual_hash(image: tf.Tensor) -> int:
    """Returns 64 bits for an image, uint8 `[h, w, 3]`; FLAT for one without contrast."""
    grey = _shrunk(image).numpy() @ np.array(_GREY_WEIGHTS, np.float32)
    if np.ptp(grey) < _LEAST_CONTRAST:
        return FLAT
    return int.from_bytes(np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes(), "big")


@tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)], autograph=False)
def _shrunk(image: tf.Tensor) -> tf.Tensor:
    """Returns an image made 8 x 9, float32 `[8, 9, 3]`; a graph, since a dozen calls take longer than the work."""
    scale = tf.constant([_ROWS, _COLUMNS], tf.float32) / tf.cast(tf.shape(image)[:2], tf.float32)
    small = tf.raw_ops.ScaleAndTranslate(
        images=image[None],
        size=[_ROWS, _COLUMNS],
        scale=scale,
        translation=[0.0, 0.0],
        kernel_type="triangle",
        antialias=True,
    )
    return small[0]


def groups(hashes: np.ndarray) -> list[np.ndarray]:
    """Returns the groups of images that look alike, each at least of two, as sorted positions in `hashes`.

    Being alike is carried on: two images are in one group if a chain of alike ones joins them.

    Args:
        hashes: uint64 `[n]`.
    """
    order = np.argsort(hashes, kind="stable")
    different, first = np.unique(hashes[order], return_index=True)
    parents = np.arange(len(different))
    for one, other in _near_pairs(different):
        parents[_root(parents, one)] = _root(parents, other)
    roots = np.array([_root(parents, number) for number in range(len(different))], np.int64)
    roots_of_images = np.repeat(roots, np.diff(first, append=len(hashes)))
    is_flat = hashes[order] == FLAT
    order, roots_of_images = order[~is_flat], roots_of_images[~is_flat]
    by_root = np.argsort(roots_of_images, kind="stable")
    starts = np.flatnonzero(np.diff(roots_of_images[by_root])) + 1
    found = [np.sort(group) for group in np.split(order[by_root], starts) if len(group) > 1]
    return sorted(found, key=lambda group: int(group[0]))


def _near_pairs(hashes: np.ndarray) -> np.ndarray:
    """Returns the pairs of positions whose hashes, all different, are near: int64 `[pairs, 2]`."""
    pairs = [np.empty((0, 2), np.int64)]
    for shift, width in _BANDS:
        bands = hashes >> np.uint64(shift) & np.uint64((1 << width) - 1)
        order = np.argsort(bands, kind="stable")
        sorted_bands, sorted_hashes = bands[order], hashes[order]
        for step in range(1, len(hashes)):
            same = np.flatnonzero(sorted_bands[step:] == sorted_bands[:-step])
            if not same.size:
                break
            distances = np.bitwise_count(sorted_hashes[same] ^ sorted_hashes[same + step])
            near = same[
                (distances <= MAX_DISTANCE) & (sorted_hashes[same] != FLAT) & (sorted_hashes[same + step] != FLAT)
            ]
            pairs.append(np.stack([order[near], order[near + step]], axis=1))
    return np.concatenate(pairs)


def _root(parents: np.ndarray, number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
