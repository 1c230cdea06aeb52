"""The images of the demo, as small shards and as pictures."""

from pathlib import Path

import numpy as np

from seer_tf.data.images import acceptance
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.parallel import LocalRunner, num_cores

_SHARD_BYTES = 16_000_000
# The crops are small, so decoding photographs of many megapixels in every epoch would be wasted work.
_LONGEST_SIDE_PX = 128


def sharded(source: Source, directory: Path) -> Source:
    """Writes the images to small shards, prints how many were left out, and opens the shards.

    Args:
        source: Source of the images.
        directory: Directory of the shards.

    Raises:
        InputError: `write_shards` raises it.
    """
    run = LocalRunner(num_cores())
    audit = write_shards(source, str(directory), ShardOptions(_LONGEST_SIDE_PX), run=run, shard_bytes=_SHARD_BYTES)
    if audit.num_rejected:
        print(f"files left out: {audit.num_rejected}, see {directory / 'rejected.tsv'} for the reasons")
    return open_source(f"shards:{directory}")


def pictures(source: Source) -> list[np.ndarray]:
    """Returns the decoded and upright images of a source, uint8 [h, w, 3] each."""
    return [acceptance.upright(source.read(index)) for index in range(source.num_images)]
