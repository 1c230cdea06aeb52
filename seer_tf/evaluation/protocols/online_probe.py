"""k-NN and a linear probe during pretraining, on separate labelled images.

A few images of each class stay in memory. The probe reads the network and never changes it. Its numbers show the
progress of a run, and compare runs that have the same probe images. They differ from the numbers of
`experiments/knn.py`, which uses all images and all classes.
"""

from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from seer_tf.config import PretrainingConfig
from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.overlap import find_shared_images
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.usable import usable
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import ImageFeatures, image_features
from seer_tf.evaluation.features.pixels import PIXEL_FEATURES
from seer_tf.evaluation.features.run_features import fit_to_rows, stage_statistics
from seer_tf.evaluation.features.stages import poolings, stage_features
from seer_tf.evaluation.held_out import held_out
from seer_tf.evaluation.pixel_baseline import PixelBaseline, half_interval
from seer_tf.evaluation.protocols.knn import knn_accuracy
from seer_tf.evaluation.protocols.linear_probe import linear_probe
from seer_tf.models.encoder import Encoder
from seer_tf.models.stage_maps import AVGPOOL, stage_names
from seer_tf.progress import silent
from seer_tf.quantities import percent

KNN = "probe/knn_top1"
LINEAR = "probe/linear_top1"
PIXELS = "probe/knn_top1_of_pixels"

_NUM_IMAGES = 1000
_IMAGES_PER_CLASS = 10  # with fewer, a query would have hardly any image of its class to compare with
_QUERY_FRACTION = 0.3
_NUM_NEIGHBOURS = 20
_WEIGHT_DECAY = 1e-2
_BATCH_SIZE = 64


class OnlineProbe:
    """Classifies some labelled images by the features and labels of other labelled images."""

    def __init__(self, source: Source, training: Source | None, config: PretrainingConfig) -> None:
        """Reads all images, or about a thousand of them.

        In a selection every class keeps its share of the images, but at least ten if it has ten. If ten images per
        class would make more than a thousand, some classes are drawn, always the same ones: accuracy among a hundred
        classes shows the progress of a run better than accuracy among a thousand classes with hardly any images. A
        class with one image is left out, because no other image could identify it.

        Args:
            source: Labelled images.
            training: The images of the run. Labelled images that are among them are left out, as the log says; None to
                leave out no image.
            config: Config of the run. The probe images get the side of its largest crops.

        Raises:
            InputError: The images have no labels, fewer than two classes of two images that are not trained on, or
                cannot be read.
        """
        labels, class_names = source.labels, source.class_names
        if labels is None or class_names is None or not has_two_classes(labels):
            raise InputError(
                "the probe data need labels, with two images or more in at least two classes; give a folder with a "
                "sub-folder for each class"
            )
        numbers = _chosen(labels)
        if training is not None:
            numbers = _untrained(source, numbers, labels, training)
        chosen = usable(Selection(source, numbers))
        self._own = config.backbone.features
        self._labels, self._num_classes = np.asarray(chosen.labels), len(class_names)
        self._is_query = held_out(self._labels, _QUERY_FRACTION)
        transform = Transform(config.crops.sizes_px[0])
        with unreadable_images_named():
            self._images = list(images_dataset(chosen, transform, batch_size=_BATCH_SIZE))
        self._baseline = PixelBaseline.best({name: self._knn(of) for name, of in self._pixel_features()})

    def of(self, model: Encoder) -> Callable[[], dict[str, float]]:
        """Returns a function that measures the model's current features.

        The function returns the shares of queries that k-NN and the linear probe classify correctly, by their names in
        the log, and the share that k-NN classifies correctly by the best pixel features, which is always the same.
        """
        features = self._own_features(model)
        return lambda: self._accuracies(features())

    def conclusion(self, model: Encoder) -> str:
        """Returns sentences that compare the model's current features with pixels, and with those of earlier stages."""
        shares, num_queries = self._of_stages(model), int(self._is_query.sum())
        own = shares[self._own] if self._own in shares else self._knn(self._own_features(model)())
        said = self._baseline.compared_with(own, num_queries)
        return " ".join(filter(None, [said, better_stage(shares, own, num_queries)]))

    def _own_features(self, model: Encoder) -> Callable[[], np.ndarray]:
        """Returns a function that computes the features that the run names as its own; the bank whitens all stages."""
        if self._own == AVGPOOL:
            features = tf.function(image_features(model), reduce_retracing=True)
            return lambda: self._features(features)
        statistics = tf.function(stage_statistics(model), reduce_retracing=True)

        def whitened() -> np.ndarray:
            rows = self._features(lambda batch: statistics(batch)[self._own])
            return fit_to_rows(model, rows[~self._is_query]).of_statistics(rows).numpy()

        return whitened

    def _of_stages(self, model: Encoder) -> dict[str, float]:
        """Returns the share of queries that k-NN classifies correctly, by name of the stage."""
        stages = (*stage_names(model.backbone), AVGPOOL)
        pooled = poolings(model.backbone, stages, size_px=self._images[0].shape[1])
        features = tf.function(stage_features(model, pooled), reduce_retracing=True)
        batches = [features(batch) for batch in self._images]
        return {stage: self._knn(np.concatenate([batch[stage] for batch in batches])) for stage in stages}

    def _features(self, of: ImageFeatures) -> np.ndarray:
        return np.concatenate([of(batch).numpy() for batch in self._images])

    def _pixel_features(self) -> list[tuple[str, np.ndarray]]:
        return [(name, self._features(of)) for name, of in PIXEL_FEATURES.items()]

    def _accuracies(self, features: np.ndarray) -> dict[str, float]:
        with silent():
            linear = linear_probe(*self._divided(features), weight_decays=[_WEIGHT_DECAY])
        return {KNN: self._knn(features), LINEAR: linear.top1, PIXELS: self._baseline.knn}

    def _knn(self, features: np.ndarray) -> float:
        bank, bank_labels, queries, query_labels = self._divided(features)
        k = min(_NUM_NEIGHBOURS, len(bank))
        with silent():
            return knn_accuracy(bank, bank_labels, queries, query_labels, num_classes=self._num_classes, ks=[k])[k]

    def _divided(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns features and labels of the bank, then those of the queries."""
        is_query, labels = self._is_query, self._labels
        return features[~is_query], labels[~is_query], features[is_query], labels[is_query]


def better_stage(shares: Mapping[str, float], own: float, num_queries: int) -> str:
    """Returns a sentence if a stage is better than the run's own features by more than half of its 95 % interval.

    Args:
        shares: Share of queries that k-NN classifies correctly, by name of the stage.
        own: The same share with the features that the run names as its own.
        num_queries: Number of queries.
    """
    best = max(shares, key=lambda stage: shares[stage])
    if shares[best] - own <= half_interval(shares[best], num_queries):
        return ""
    return (
        f"One stage of the network has better features: k-NN {percent(shares[best])} with {best}. Evaluations "
        f"take them with `stages={best}`."
    )


def compared_by_own_labels(source: Source, config: PretrainingConfig, model: Encoder) -> str:
    """Returns sentences that compare a network with the best pixel features, by the labels of its training images.

    Args:
        source: Labelled training images.
        config: Config of the run.
        model: The network.
    """
    try:
        compared = OnlineProbe(source, None, config).conclusion(model)
    except InputError as error:
        return f"The network is not compared with simple pixels: {error}."
    return f"{compared} These are training images; the network did not learn from their labels."


def has_two_classes(labels: np.ndarray) -> bool:
    """Whether at least two classes have two images or more."""
    return int((np.unique(labels, return_counts=True)[1] > 1).sum()) > 1


def _untrained(source: Source, numbers: np.ndarray, labels: np.ndarray, training: Source) -> np.ndarray:
    """Returns the numbers of the images that are not trained on, int [n]; the log counts the others."""
    shared = find_shared_images(Selection(source, numbers), training)
    if not shared:
        return numbers
    kept = np.delete(numbers, list(shared))
    if not has_two_classes(labels[kept]):
        number, name = next(iter(shared.items()))
        raise InputError(
            f"the probe data share images with the training data ({source.ids[numbers[number]]} is {name} there), and "
            "without them fewer than two classes of two images are left; give labelled images that are not trained on"
        )
    logging.warning("%d of %d probe images are trained on and are left out", len(shared), len(numbers))
    return kept


def _chosen(labels: np.ndarray) -> np.ndarray:
    """Returns the numbers of the images to keep, ascending, int [n]; they depend only on the labels [N]."""
    classes, sizes = np.unique(labels, return_counts=True)
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(sizes > 1))
    drawn = np.sort(drawn[np.minimum(sizes[drawn], _IMAGES_PER_CLASS).cumsum() <= _NUM_IMAGES])
    fraction = min(1.0, _NUM_IMAGES / sizes[drawn].sum())
    generator = np.random.default_rng(0)
    numbers: list[int] = []
    for label in classes[drawn]:
        members = generator.permutation(np.flatnonzero(labels == label))
        numbers.extend(members[: max(round(fraction * len(members)), _IMAGES_PER_CLASS)])
    return np.sort(numbers)
