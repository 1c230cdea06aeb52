"""A simulated store far away: blocks need few calls, and neither images nor index are read when shards are opened."""

import numpy as np

from benchmarks.harness import simulated_shards
from benchmarks.harness.settings import Settings
from benchmarks.suite.data_at_scale import Reading, cases
from seer_tf.data.sources.shards import open_shards


def test_blocks_need_a_small_part_of_the_calls() -> None:
    (case,) = cases(Settings(quick=True))
    result = case.run(case.title, 1)
    assert isinstance(result, Reading)
    opening, images, blocks = result.parts.values()
    assert opening["calls"] < 30  # manifest, index and one listing; none for each shard
    assert images["calls"] >= images["images"] == 1024
    assert blocks["calls"] < 0.3 * blocks["images"] and blocks["seconds"] < images["seconds"]


def test_the_index_of_many_images_is_read_in_pages() -> None:
    """The index has 96 MB. Opening takes seconds and as many calls as for few images."""
    before = simulated_shards.calls_so_far()
    source = open_shards("far://0/4000000")
    assert source.num_images == 4_000_000
    assert source.read(3_999_999) == b"" and source.ids[2_123_456] == ""
    assert simulated_shards.calls_so_far() - before < 30
    rows = source._index.rows(9_990, 10_010)
    length = rows[0, 1]
    assert (rows[:, 0] == np.r_[9_990:10_000, 0:10] * (length + 16)).all() and (rows[:, 1] == length).all()
