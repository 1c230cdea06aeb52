"""k-NN and a linear probe while pretraining goes on, on labelled images of their own.

A few images of every class stay in memory; the network is read and never changed. The numbers follow one run, and
compare runs that are probed alike. They are not those of `experiments/knn.py`, which takes all images.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.data.labelled import images_dataset
from seer_tf.data.overlap import shared_image
from seer_tf.data.reading import unreadable_images_named
from seer_tf.data.selection import Selection
from seer_tf.data.source import Source
from seer_tf.data.transform import Transform
from seer_tf.errors import InputError
from seer_tf.evaluation.features import image_features
from seer_tf.evaluation.held_out import held_out
from seer_tf.evaluation.knn import knn_accuracy
from seer_tf.evaluation.linear_probe import linear_probe
from seer_tf.models.swav_model import SwavModel
from seer_tf.progress import silent

KNN = "probe/knn_top1"
LINEAR = "probe/linear_top1"

_MAX_IMAGES = 1000
_QUERY_FRACTION = 0.3
_NUM_NEIGHBOURS = 20
_WEIGHT_DECAY = 1e-2
_BATCH_SIZE = 64


class OnlineProbe:
    """Classifies some of the labelled images by the features and labels of the others."""

    def __init__(self, source: Source, training: Source, config: Config) -> None:
        """Reads the images: all of them, or a thousand with every class in its share.

        Args:
            source: labelled images.
            training: the images of the run, which must be others.
            config: of the run; the images get the side of its largest crops.

        Raises:
            InputError: the images have no labels or only one class, cannot be read, or are trained on.
        """
        if source.labels is None or source.class_names is None or len(np.unique(source.labels)) < 2:
            raise InputError("the probe data have no labels of two classes or more; give a folder with one per class")
        kept = held_out(source.labels, min(1.0, _MAX_IMAGES / source.num_images)) | (source.num_images <= _MAX_IMAGES)
        chosen = Selection(source, np.flatnonzero(kept))
        shared = shared_image(chosen, training)
        if shared is not None:
            raise InputError(
                f"the probe data share images with the training data ({shared[0]} is {shared[1]} there); give labelled "
                "images that are not trained on"
            )
        transform = Transform(config.crops.sizes_px[0])
        with unreadable_images_named():
            self._images = list(images_dataset(chosen, transform, batch_size=_BATCH_SIZE))
        self._labels, self._num_classes = source.labels[kept], len(source.class_names)
        self._is_query = held_out(self._labels, _QUERY_FRACTION)

    def of(self, model: SwavModel) -> Callable[[], dict[str, float]]:
        """Returns a function that finds what the features of a model are worth now.

        It returns the shares of the queries that k-NN and the linear probe classify right, by their names in the log.
        """
        features = tf.function(image_features(model), reduce_retracing=True)
        return lambda: self._accuracies(np.concatenate([features(batch).numpy() for batch in self._images]))

    def _accuracies(self, features: np.ndarray) -> dict[str, float]:
        bank, bank_labels = features[~self._is_query], self._labels[~self._is_query]
        queries, query_labels = features[self._is_query], self._labels[self._is_query]
        k = min(_NUM_NEIGHBOURS, len(bank))
        with silent():
            knn = knn_accuracy(bank, bank_labels, queries, query_labels, num_classes=self._num_classes, ks=[k])
            linear = linear_probe(bank, bank_labels, queries, query_labels, weight_decays=[_WEIGHT_DECAY])
        return {KNN: knn[k], LINEAR: linear.top1}
