"""The order by blocks: a permutation in each epoch, in which a lane ends a block before it begins the next one."""

import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from seer_tf.data.pipelines.order import Order, blocks_at, images_at


def _blocks(block: int, lanes: int) -> Order:
    return functools.partial(blocks_at, images_per_block=block, num_lanes=lanes)


def _images(order: Order, num_images: int, positions: np.ndarray, seed: int = 0) -> np.ndarray:
    chunk = tf.function(lambda part: order(part, num_images, seed)[0], autograph=False)
    padded = np.append(positions, np.zeros(-len(positions) % 16, np.int64)).reshape(-1, 16)
    return np.concatenate([chunk(tf.constant(part)).numpy() for part in padded])[: len(positions)]


@pytest.mark.parametrize(
    ("num_images", "block", "lanes"),
    [(1, 4, 3), (3, 4, 2), (12, 4, 3), (13, 4, 3), (100, 1, 7), (101, 8, 16), (50, 64, 8), (37, 5, 100)],
)
def test_an_epoch_is_a_permutation_and_a_function_of_seed_and_epoch(num_images, block, lanes):
    epochs = _images(_blocks(block, lanes), num_images, np.arange(3 * num_images)).reshape(3, num_images)
    assert (np.sort(epochs, axis=1) == np.arange(num_images)).all()
    if num_images > 12:
        assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
        assert (_images(_blocks(block, lanes), num_images, np.arange(num_images), seed=1) != epochs[0]).any()


@pytest.mark.parametrize(("num_images", "block", "lanes"), [(1000, 8, 10), (1003, 8, 10), (997, 16, 6)])
def test_the_lanes_one_after_another_are_whole_blocks(num_images, block, lanes):
    """The positions of an epoch, read lane by lane, are the line of blocks, each of them in one piece."""
    images = _images(_blocks(block, lanes), num_images, np.arange(num_images))
    line = np.concatenate([images[lane::lanes] for lane in range(lanes)])
    numbers = line // block
    changes = np.flatnonzero(np.diff(numbers)) + 1
    assert len(changes) + 1 == -(-num_images // block)
    blocks = np.split(line, changes)
    assert all((np.sort(part) == part.min() + np.arange(len(part))).all() for part in blocks)
    assert sum((part == np.sort(part)).all() for part in blocks if len(part) == block) <= 1


def test_a_batch_has_images_of_as_many_blocks_as_it_has_images():
    """All lanes are longer than a block, so two of them can share a block only at its ends."""
    images = _images(_blocks(8, 50), 50 * 16, np.arange(50 * 16)).reshape(16, 50)
    assert min(len(np.unique(batch // 8)) for batch in images) >= 49


def test_a_worker_reads_the_blocks_of_its_own_lanes():
    """Two workers share only the blocks that lie on both sides of a border between lanes."""
    num_images, lanes, block = 1024, 16, 8
    images = _images(_blocks(block, lanes), num_images, np.arange(num_images)).reshape(-1, lanes)
    read = [set((images[:, part] // block).ravel()) for part in (slice(0, 8), slice(8, 16))]
    assert len(read[0]) + len(read[1]) <= num_images // block + 1


@pytest.mark.parametrize("num_images", [8, 10])
def test_every_block_is_first_in_an_epoch_with_equal_probability(num_images):
    """So is every image of a block, which the test compares, too. Of ten images the last block has two."""
    firsts = _images(_blocks(4, 3), num_images, np.arange(0, 800 * num_images, num_images))
    sizes = [4] * 8 + [2] * 2
    of_blocks = np.array([1 / size for size in sizes[:num_images]])
    expected = 800 * of_blocks / of_blocks.sum()
    assert scipy.stats.chisquare(np.bincount(firsts, minlength=num_images), expected).pvalue > 1e-3


def test_blocks_share_a_batch_as_often_as_by_chance():
    """The test counts how often each pair of 16 blocks of two images is in one batch of 4, in 60 epochs.

    A lane holds whole blocks here, so blocks that share a batch share the next one, too; every other batch counts.
    """
    met = np.zeros((16, 16))
    order = _images(_blocks(2, 4), 32, np.arange(60 * 32)) // 2
    for batch in order.reshape(-1, 4)[::2]:
        met[np.ix_(batch, batch)] += 1
    assert scipy.stats.chisquare(met[np.triu_indices(16, 1)]).pvalue > 1e-3


def test_keys_of_crops_are_those_of_the_order_by_images():
    positions = tf.range(7, 39, dtype=tf.int64)
    np.testing.assert_array_equal(images_at(positions, 10, 3)[1], _blocks(4, 3)(positions, 10, 3)[1])


def test_a_billion_images_need_no_table():
    positions = 5 * 10**9 + np.arange(0, 10**9, 15_625_000)
    images = _images(_blocks(32, 4096), 10**9, positions)
    assert len(np.unique(images)) == 64 and images.min() >= 0 and images.max() < 10**9
    assert np.ptp(images) > 5 * 10**8
