"""Training and test images: the built-in set, or a user's images with a part held out."""

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import Data, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.view import View
from seer_tf.evaluation.held_out import held_out

_TEST_FRACTION = 0.2
_MIN_IMAGES_PER_CLASS = 10


def train_and_test(data: Data) -> tuple[Source, Source | None]:
    """Opens the images to train on and, where there are labels, those to test on.

    Args:
        data: Data spec or source; `builtin` for the built-in set. The images are meant to be written to shards.

    Returns:
        Training images, and test images or None. Of images with classes a fifth of each class is held out for the
        test; with one class, or fewer than ten images in some class, there is nothing to measure, and they count as
        unlabelled.

    Raises:
        InputError: As for `open_source`.
    """
    if data == "builtin":
        return open_source("builtin"), open_source("builtin:test")
    images = open_source(data, to_prepare=True)
    labels = images.labels
    counts = np.zeros(0) if labels is None else np.bincount(labels)
    if labels is None or len(counts) < 2 or counts.min() < _MIN_IMAGES_PER_CLASS:
        return _Unlabelled(images), None
    test = held_out(labels, _TEST_FRACTION)
    return Selection(images, np.flatnonzero(~test)), Selection(images, np.flatnonzero(test))


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
