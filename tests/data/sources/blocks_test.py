"""Shards that are read in blocks: the same images, and every block once."""

import collections
import dataclasses
import functools
import pathlib

import numpy as np
import pytest

from seer_tf.config import CropsConfig, DataConfig
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.pipelines import pretraining
from seer_tf.data.shards.tfrecord import Framed
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.part import Part
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.data.sources.shards import ShardsSource, open_shards
from seer_tf.errors import InputError
from seer_tf.pretraining import task
from seer_tf.pretraining.recipes import recipe
from tests.data.sources.numbered_images import write_shards

_BATCH = 6
_CROPS = CropsConfig(
    num=(1,),
    sizes_px=(8,),
    min_area_fractions=(0.5,),
    max_area_fractions=(1.0,),
    color_jitter_probability=0.0,
    grayscale_probability=0.0,
)
_CONFIG = DataConfig(order="blocks", global_batch_size=_BATCH)


@pytest.fixture
def source(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> ShardsSource:
    """Returns 36 images in several shards; a block has four images and may lie in two shards."""
    monkeypatch.setattr("seer_tf.data.sources.shards._MOST_IN_BLOCK", 4)
    write_shards(tmp_path, num_workers=1)
    return open_shards(str(tmp_path))


def _numbers(source: Source, first_step: int, num_steps: int, *, first: int = 0, local: int = _BATCH) -> np.ndarray:
    """Returns the red level of every image of a worker's batches, which tells the images apart."""
    images, order = task.in_order(_CONFIG, source, local)
    dataset = pretraining.pretraining_dataset(
        ReplacingSource(images, 0.5),
        _CROPS,
        local_batch_size=local,
        global_batch_size=_BATCH,
        first_image_in_batch=first,
        seed=0,
        first_step=first_step,
        order=order,
    )
    return np.stack([groups[0].numpy()[:, 0, 0, 0, 0] for groups in dataset.take(num_steps)])


def _counting(source: ShardsSource, monkeypatch: pytest.MonkeyPatch) -> collections.Counter:
    reads: collections.Counter = collections.Counter()
    read = source.records

    def records(first: int, end: int) -> list[Framed]:
        reads[first, end] += 1
        return read(first, end)

    monkeypatch.setattr(source, "records", records)
    return reads


def test_images_in_blocks_are_the_same_and_every_block_is_read_once(source, monkeypatch):
    expected = [source.read(index) for index in range(source.num_images)]
    reads = _counting(source, monkeypatch)
    blocks = source.in_blocks(9)
    order = np.random.default_rng(0).permutation(source.num_images).tolist()
    assert [blocks.read(index) for index in order] == [expected[index] for index in order]
    assert set(reads.values()) == {1} and sorted(reads) == [(first, first + 4) for first in range(0, 36, 4)]


def test_blocks_that_were_not_used_for_long_leave_memory(source, monkeypatch):
    reads, blocks = _counting(source, monkeypatch), source.in_blocks(2)
    for index in (0, 4, 0, 8, 0, 4):
        blocks.read(index)
    assert reads == {(0, 4): 1, (4, 8): 2, (8, 12): 1}


def test_a_broken_record_loses_no_other_image_of_its_block(source, tmp_path):
    path = sorted(tmp_path.glob("*.tfrecord"))[0]
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    blocks = source.in_blocks(1)
    assert blocks.read(1) == source.read(1)
    with pytest.raises(UnusableImageError, match=f"{path.name} is broken at byte 0"):
        blocks.read(0)


@pytest.mark.slow
def test_batches_are_equal_for_any_number_of_workers_and_after_a_stop(source):
    whole = _numbers(source, 0, 14)
    assert (np.sort(whole.ravel()[:36]) == np.sort(whole.ravel()[36:72])).all()
    assert len(np.unique(whole.ravel()[:36])) == 36
    parts = [_numbers(source, 0, 14, first=first, local=3) for first in (0, 3)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(_numbers(source, 9, 5), whole[9:])


def test_a_run_by_blocks_needs_shards(source):
    config = recipe("debug_tiny")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, order="blocks", global_batch_size=8))
    check = functools.partial(task.check_fit, config, num_replicas=1)
    check(source=source)
    with pytest.raises(InputError, match=r"data.order=blocks needs shards, .* or set data.order=images"):
        check(source=Part(source, 20))
