"""The order of images: which image has which place in the endless stream.

Place p is in epoch p // N of the N images. Both orders are functions of p, without tables, so a run can continue at any
step, and any number of workers see the same batches.

`images_at` permutes the images of an epoch. So neighbours of the stream lie anywhere, and each image is read by itself.

`blocks_at` is for shards on disks and in buckets far away, where neighbours are read at once. It lays the blocks of an
epoch in a line, in a random order, with the images of each block in a random order. The line is cut into equal lanes,
one for each image of a batch, and the stream takes an image from each lane in turn. So a batch has images of as many
blocks as it has images, a worker reads the blocks of its own lanes, and reads each once.
"""

from typing import Protocol

import tensorflow as tf

# Four rounds leave a pattern; eight do not.
_SHUFFLE_ROUNDS = 8
# An odd number near 2 ** 64 divided by the golden ratio (Fibonacci hashing), as int64.
_SCATTER = -7046029254386353131


class Order(Protocol):
    """An order of images."""

    def __call__(self, positions: tf.Tensor, num_images: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the images at positions of the endless stream.

        Args:
            positions: Positions, int64 `[n]`, with n known when the graph is built.
            num_images: Number of images N.
            seed: Seed of the run.

        Returns:
            Numbers of the images, int64 `[n]`, and keys for their crops, a function of (seed, epoch), int64 `[n]`.
        """


def images_at(positions: tf.Tensor, num_images: int, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns images in the order that permutes the images of an epoch, as `Order`."""
    seeds, keys = _random_numbers(positions // num_images, seed)
    return _permuted(positions % num_images, num_images, seeds), keys


def blocks_at(
    positions: tf.Tensor, num_images: int, seed: int, *, images_per_block: int, num_lanes: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns images in the order that permutes the blocks of an epoch, as `Order`.

    Args:
        positions: As for `Order`.
        num_images: As for `Order`.
        seed: As for `Order`.
        images_per_block: Number of neighbouring images in a block. The last block may have fewer.
        num_lanes: Number of lanes: the images in a global batch.
    """
    seeds, keys = _random_numbers(positions // num_images, seed)
    place, lane = positions % num_images // num_lanes, positions % num_images % num_lanes
    lane_images, num_longer = divmod(num_images, num_lanes)
    on_line = lane * lane_images + tf.minimum(lane, num_longer) + place
    # The last block, which has fewer images, gets its place first; the full blocks lie before and after it.
    num_full, num_last = divmod(num_images, images_per_block)
    begin = images_per_block * _permuted(tf.fill(positions.shape, tf.constant(num_full, tf.int64)), num_full + 1, seeds)
    is_last = (begin <= on_line) & (on_line < begin + num_last)
    among_full = on_line - tf.where(on_line < begin + num_last, tf.constant(0, tf.int64), num_last)
    number = tf.minimum(among_full // images_per_block, max(num_full - 1, 0))
    of_blocks = _other_seeds(seeds, tf.zeros_like(number))
    block = tf.where(is_last, tf.constant(num_full, tf.int64), _permuted(number, max(num_full, 1), of_blocks))
    inside = tf.where(is_last, on_line - begin, among_full % images_per_block)
    size = tf.where(is_last, tf.constant(num_last, tf.int64), images_per_block)
    return block * images_per_block + _permuted(inside, size, _other_seeds(seeds, 1 + block)), keys


def _random_numbers(epochs: tf.Tensor, seed: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the seeds of each epoch's permutation, int64 `[n, 3]`, and the keys of its crops, int64 `[n]`."""
    # Permutations of neighbouring seeds are similar, so the seed is hashed.
    hashed = tf.stack(
        [
            tf.random.stateless_uniform([4], tf.stack([seed, epoch]), minval=None, maxval=None, dtype=tf.int64)
            for epoch in tf.unstack(epochs)
        ]
    )
    return hashed[:, :3], hashed[:, 3]


def _other_seeds(seeds: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns seeds for another permutation, for each number from zero: int64 `[n, 3]`."""
    return tf.bitwise.bitwise_xor(seeds, ((1 + numbers) * _SCATTER)[:, None])


def _permuted(numbers: tf.Tensor, size: tf.Tensor | int, seeds: tf.Tensor) -> tf.Tensor:
    """Returns the places of numbers below `size` in a permutation: int64 `[n]`."""
    return tf.raw_ops.RandomIndexShuffle(
        index=numbers,
        seed=tf.bitcast(seeds, tf.uint64),
        max_index=tf.broadcast_to(tf.cast(size, tf.int64) - 1, numbers.shape),
        rounds=_SHUFFLE_ROUNDS,
    )
