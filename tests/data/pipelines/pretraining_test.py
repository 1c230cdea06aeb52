"""The order of images: the same with any number of workers, and from any step on."""

import dataclasses
import io

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from seer_tf.config import CropsConfig
from seer_tf.data.pipelines import pretraining
from seer_tf.data.pipelines.order import images_at
from seer_tf.data.shards import prepare
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.data.sources.shards import open_shards
from seer_tf.parallel import LocalRunner, num_cores

_CROPS = CropsConfig(num=(2, 3), sizes_px=(16, 8))
_PLAIN = dataclasses.replace(_CROPS, color_jitter_probability=0.0, grayscale_probability=0.0)


class _NumberedSource(Source):
    """Image i has one colour that encodes i, so each crop shows which image it was cut from."""

    def __init__(self, num_images: int) -> None:
        self.ids = [str(number) for number in range(num_images)]

    def read(self, index: int) -> bytes:
        encoded = io.BytesIO()
        Image.new("RGB", (24 + index % 5, 20), (index % 256, index // 256, 255 - index % 256)).save(encoded, "PNG")
        return encoded.getvalue()


class _NoiseSource(_NumberedSource):
    def read(self, index: int) -> bytes:
        encoded = io.BytesIO()
        noise = np.random.default_rng(index).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(noise).save(encoded, "PNG")
        return encoded.getvalue()


def _batches(source, num_steps, *, first_step=0, seed=3, batch=12, first=0, local=None, crops=_PLAIN):
    dataset = pretraining.pretraining_dataset(
        ReplacingSource(source, 0.0),
        crops,
        local_batch_size=local or batch,
        global_batch_size=batch,
        first_image_in_batch=first,
        seed=seed,
        first_step=first_step,
    )
    return [tuple(group.numpy() for group in groups) for groups in dataset.take(num_steps)]


def _numbers(batches):
    """Returns the numbers of the images, read from the first pixel of the first crop."""
    pixels = np.concatenate([groups[0][:, 0, 0, 0].astype(int) for groups in batches])
    return pixels[:, 0] + 256 * pixels[:, 1]


def test_batches_have_a_tensor_per_group():
    (groups,) = _batches(_NumberedSource(30), 1)
    assert [group.shape for group in groups] == [(12, 2, 16, 16, 3), (12, 3, 8, 8, 3)]
    assert {group.dtype for group in groups} == {np.dtype(np.uint8)}


def test_all_crops_of_an_element_come_from_one_image():
    for groups in _batches(_NumberedSource(300), 4):
        first_pixel = groups[0][:, :1, :1, :1]
        for group in groups:
            assert (group == first_pixel).all()


@pytest.mark.parametrize("num_images", [1, 5, 100])
def test_an_epoch_is_a_permutation_and_a_function_of_seed_and_epoch(num_images):
    num_steps = -(-3 * num_images // 12)
    numbers = _numbers(_batches(_NumberedSource(num_images), num_steps))[: 3 * num_images]
    epochs = numbers.reshape(3, num_images)
    assert (np.sort(epochs, axis=1) == np.arange(num_images)).all()
    if num_images >= 12:
        assert (epochs[0] != epochs[1]).any() and (epochs[1] != epochs[2]).any()
        other = _numbers(_batches(_NumberedSource(num_images), num_steps, seed=4))[:num_images]
        assert (other != epochs[0]).any()


def _order(positions: tf.data.Dataset, num_images: int) -> np.ndarray:
    chunks = positions.batch(64, drop_remainder=True).map(lambda chunk: images_at(chunk, num_images, 0)[0])
    return np.concatenate(list(chunks.as_numpy_iterator()))


def test_every_image_is_first_in_an_epoch_with_equal_probability():
    images = _order(tf.data.Dataset.range(0, 64_000, 10), 10)
    assert scipy.stats.chisquare(np.bincount(images, minlength=10)).pvalue > 1e-3


def test_two_images_are_neighbours_as_often_as_by_chance():
    num_images = 4096
    images = _order(tf.data.Dataset.range(8 * num_images), num_images).reshape(8, num_images)
    differences = np.diff(images, axis=1) % num_images
    counts = np.histogram(differences, bins=64, range=(0, num_images))[0]
    assert scipy.stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("num_workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_the_global_batch_does_not_depend_on_the_number_of_workers(num_workers):
    source, local = _NoiseSource(40), 12 // num_workers
    whole = _batches(source, 5, crops=_CROPS)
    parts = [_batches(source, 5, first=worker * local, local=local, crops=_CROPS) for worker in range(num_workers)]
    for step in range(5):
        for group in range(2):
            joined = np.concatenate([part[step][group] for part in parts])
            assert np.abs(joined.astype(int) - whole[step][group]).max() <= 1
            assert (joined != whole[step][group]).mean() < 1e-3


@pytest.mark.parametrize("first_step", [pytest.param(7, marks=pytest.mark.slow), 10**9])
def test_a_resumed_stream_equals_the_uninterrupted_one_bit_for_bit(first_step):
    source, start = _NoiseSource(40), max(0, first_step - 3)
    uninterrupted = _batches(source, first_step - start + 3, first_step=start, crops=_CROPS)[first_step - start :]
    resumed = _batches(source, 3, first_step=first_step, crops=_CROPS)
    for before, after in zip(uninterrupted, resumed, strict=True):
        for a, b in zip(before, after, strict=True):
            assert (a == b).all()


@pytest.mark.slow
def test_crops_distorted_in_the_step_equal_crops_distorted_on_the_host():
    host = _batches(_NoiseSource(40), 2, crops=_CROPS)
    dataset = pretraining.pretraining_dataset(
        ReplacingSource(_NoiseSource(40), 0.0),
        _CROPS,
        local_batch_size=12,
        global_batch_size=12,
        first_image_in_batch=0,
        seed=3,
        first_step=0,
        distort_here=False,
    )
    for expected, batch in zip(host, dataset.take(2), strict=True):
        plain, seen = batch.groups, pretraining.distorted(batch, _CROPS)
        for group in range(2):
            assert seen[group].shape == expected[group].shape and seen[group].dtype == tf.uint8
            difference = np.abs(seen[group].numpy().astype(int) - expected[group])
            assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
            assert (plain[group].numpy() != expected[group]).mean() > 0.5


@pytest.mark.slow
def test_two_images_of_one_shard_share_a_batch_as_often_as_by_chance(tmp_path):
    """The test counts how often each pair of 48 images is in one batch of 6.

    The spread of the counts must be within the spreads of 400 samples of 20 NumPy permutations.
    """
    num_images, batch, epochs = 48, 6, 20
    prepare.write_shards(
        _NumberedSource(num_images), str(tmp_path), ShardOptions(), run=LocalRunner(1), shard_bytes=10**6
    )
    source = open_shards(str(tmp_path))
    assert len(list(tmp_path.glob("*.tfrecord"))) == 1
    # Three workers read the one shard.
    parts = [_batches(source, epochs * 8, batch=batch, first=first, local=2) for first in (0, 2, 4)]
    numbers = np.stack([_numbers(part).reshape(-1, 2) for part in parts], axis=1).reshape(epochs, num_images)
    assert (np.sort(numbers, axis=1) == np.arange(num_images)).all()

    def spread(orders: np.ndarray) -> float:
        met = np.zeros((num_images, num_images))
        for row in orders.reshape(-1, batch):
            met[np.ix_(row, row)] += 1
        return float(met[np.triu_indices(num_images, 1)].var())

    rng = np.random.default_rng(0)
    chance = [spread(rng.permuted(np.tile(np.arange(num_images), (epochs, 1)), axis=1)) for _ in range(400)]
    assert min(chance) < spread(numbers) < max(chance)


def test_the_crops_of_an_image_change_from_epoch_to_epoch():
    first, second = _batches(_NoiseSource(1), 2, batch=1, crops=_CROPS)
    assert (first[0] != second[0]).any()


def test_images_get_different_crops_in_one_epoch():
    """The source has sixteen copies of one image. All crops must differ."""

    class Copies(_NoiseSource):
        def read(self, index: int) -> bytes:
            return super().read(0)

    (groups,) = _batches(Copies(16), 1, batch=16)
    assert len({crop.tobytes() for crop in groups[0].reshape(32, -1)}) == 32


def test_a_resumed_stream_reads_only_the_images_that_it_yields():
    reads = []

    class Counting(_NumberedSource):
        def read(self, index: int) -> bytes:
            reads.append(index)
            return super().read(index)

    _batches(Counting(1000), 1, first_step=10**6)
    assert len(reads) < 500  # one batch, and the images that were read ahead


def test_the_memory_limit_is_logged_and_does_not_depend_on_the_number_of_images(caplog):
    caplog.set_level("INFO")
    for num_images in (100, 1000):
        pretraining.pretraining_dataset(
            ReplacingSource(_NumberedSource(num_images), 0.0),
            _PLAIN,
            local_batch_size=10,
            global_batch_size=10,
            first_image_in_batch=0,
            seed=0,
            first_step=0,
        )
    first, second = [record.message for record in caplog.records if "Input pipeline: at most" in record.message]
    assert first == second
    made, decoding = pretraining.max_bytes(_PLAIN, 10)
    batch = 10 * 3 * (2 * 16**2 + 3 * 8**2)
    assert made % batch == 0 and 4 <= made // batch <= 4 + num_cores()
    assert decoding == 600_000_000 * num_cores()
