"""The images of the demo: the built-in set or the user's images, split into training and test images."""

from pathlib import Path

import numpy as np

from seer_tf.data.images import acceptance
from seer_tf.data.shards.prepare import write_shards
from seer_tf.data.shards.writer import ShardOptions
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.view import View
from seer_tf.evaluation.held_out import held_out
from seer_tf.parallel import LocalRunner, num_cores

_TEST_FRACTION = 0.2
_MIN_IMAGES_PER_CLASS = 10
_SHARD_BYTES = 16_000_000
# The crops are small, so decoding photographs of many megapixels in every epoch would be wasted work.
_LONGEST_SIDE_PX = 128


def demo_images(data: str) -> tuple[Source, Source | None]:
    """Opens the images to train on and, where there are labels, those to test on.

    Args:
        data: Data spec; `builtin` for the built-in set.

    Returns:
        Training images, and test images or None. Of images with classes a fifth of each class is held out for the
        test; with one class, or fewer than ten images in some class, there is nothing to measure, and they count as
        unlabelled.

    Raises:
        InputError: As for `open_source`.
    """
    if data == "builtin":
        return open_source("builtin"), open_source("builtin:test")
    images = open_source(data, to_prepare=True)  # The demo makes shards of them.
    labels = images.labels
    counts = np.zeros(0) if labels is None else np.bincount(labels)
    if labels is None or len(counts) < 2 or counts.min() < _MIN_IMAGES_PER_CLASS:
        return _Unlabelled(images), None
    test = held_out(labels, _TEST_FRACTION)
    return Selection(images, np.flatnonzero(~test)), Selection(images, np.flatnonzero(test))


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


class _Unlabelled(View):
    """The images of a source without their classes."""

    labels = None

    def __init__(self, source: Source) -> None:
        """Wraps a source."""
        super().__init__(source)
        self.class_names = None

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns no class."""
        return ()

    def fingerprint(self, *, with_classes: bool = True) -> str:
        """Returns a SHA-256 in hex that identifies the images without their classes."""
        return Source.fingerprint(self, with_classes=with_classes)


def pictures(source: Source) -> list[np.ndarray]:
    """Returns the decoded and upright images of a source, uint8 [h, w, 3] each."""
    return [acceptance.upright(source.read(index)) for index in range(source.num_images)]
