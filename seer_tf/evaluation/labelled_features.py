"""What a classifier on frozen features is fitted on and read on: features and labels of a training and a test set."""

import dataclasses

import numpy as np

from seer_tf.data.labelled import images_dataset
from seer_tf.data.source import Source
from seer_tf.errors import InputError
from seer_tf.evaluation.features import ImageFeatures, extract

_NUM_NAMED_CLASSES = 5


@dataclasses.dataclass(frozen=True)
class LabelledFeatures:
    """Features and labels of two sets of images.

    Attributes:
        train: float32 [N, C].
        train_labels: int64 [N], positions in `class_names`.
        test: float32 [M, C].
        test_labels: int64 [M], positions in `class_names`.
        class_names: the classes, in the training set's order.
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]


def labelled_features(
    features: ImageFeatures, train: Source, test: Source, *, size_px: int, batch_size: int
) -> LabelledFeatures:
    """Extracts the features of two labelled sources and brings their classes to one numbering, by name.

    Args:
        features: from uint8 [B, size_px, size_px, 3] to float [B, C].
        train: images to fit on.
        test: images to read the accuracy on.
        size_px: side of the centre crop that the features see.
        batch_size: images at once.

    Returns:
        Features and labels of both.

    Raises:
        InputError: one of them has no labels, or their classes differ.
    """
    class_names, train_labels, test_labels = matched_labels(train, test)
    return LabelledFeatures(
        source_features(features, train, size_px=size_px, batch_size=batch_size, label="training images"),
        train_labels,
        source_features(features, test, size_px=size_px, batch_size=batch_size, label="test images"),
        test_labels,
        class_names,
    )


def source_features(
    features: ImageFeatures, source: Source, *, size_px: int, batch_size: int, label: str = "features"
) -> np.ndarray:
    """Returns the features of all images of a source after the evaluation's resize and centre crop, float32 [N, C]."""
    images = images_dataset(source, size_px=size_px, batch_size=batch_size)
    return extract(features, images, source.num_images, label=label)


def matched_labels(train: Source, test: Source) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Returns the classes of the training set, and both sets' labels in their numbering, int64 [N] and [M].

    Raises:
        InputError: one of them has no labels, or their classes differ.
    """
    train_names, train_labels = _labels(train, "training")
    test_names, test_labels = _labels(test, "test")
    for name, extra in (
        ("training", sorted(set(train_names) - set(test_names))),
        ("test", sorted(set(test_names) - set(train_names))),
    ):
        if extra:
            shown = ", ".join(extra[:_NUM_NAMED_CLASSES]) + (", …" if len(extra) > _NUM_NAMED_CLASSES else "")
            raise InputError(
                f"only the {name} data has the classes {shown}; give training and test data of the same ones"
            )
    return train_names, train_labels, np.array([train_names.index(name) for name in test_names], np.int64)[test_labels]


def _labels(source: Source, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    labels = source.labels
    if labels is None or source.class_names is None:
        raise InputError(f"the {name} data has no labels; give folder:DIR with one sub-folder of images per class")
    return source.class_names, labels
