"""k-NN accuracy of a network at many times. The labelled images are read once and stay in memory.

Shapes: N images in the bank, M queries, C feature channels.
"""

import numpy as np

from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.evaluation.features.extract import ImageFeatures
from seer_tf.evaluation.features.labelled import matched_labels
from seer_tf.evaluation.protocols.knn import knn_accuracy
from seer_tf.progress import silent

_NUM_NEIGHBOURS = 20
_BATCH_SIZE = 250


class LabelledBank:
    """A bank and queries, with labels."""

    def __init__(self, bank: Source, queries: Source, size_px: int) -> None:
        """Reads the images.

        Args:
            bank: Labelled images.
            queries: Other labelled images with the same classes.
            size_px: Side of the square that the network sees.

        Raises:
            InputError: Labels are missing, the classes differ, or an image cannot be read.
        """
        class_names, self._bank_labels, self._query_labels = matched_labels(bank, queries)
        self._num_classes = len(class_names)
        with unreadable_images_named():
            self._bank, self._queries = (
                list(images_dataset(source, Transform(size_px), batch_size=_BATCH_SIZE)) for source in (bank, queries)
            )

    def features(self, of_images: ImageFeatures) -> tuple[np.ndarray, np.ndarray]:
        """Returns the features of bank and queries, float32 [N, C] and [M, C]."""
        bank, queries = (
            np.concatenate([of_images(batch).numpy() for batch in images]) for images in (self._bank, self._queries)
        )
        return bank, queries

    def top1(self, bank: np.ndarray, queries: np.ndarray) -> float:
        """Returns the share of queries that their twenty nearest images classify correctly.

        Args:
            bank: Float [N, C].
            queries: Float [M, C].
        """
        k = min(_NUM_NEIGHBOURS, len(bank))
        with silent():
            found = knn_accuracy(
                bank, self._bank_labels, queries, self._query_labels, num_classes=self._num_classes, ks=[k]
            )
        return found[k]
