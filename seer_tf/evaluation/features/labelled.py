"""Labelled features for classifiers on frozen features: a training set to fit on and a test set to measure on."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.fingerprints import check_disjoint

Labels = tuple[tuple[str, ...], np.ndarray, np.ndarray]
"""Class names; labels of training and test images: int64 [N] and [M], or bool [N, L] and [M, L] for several each."""

_NUM_NAMED = 5


class Labelled(Protocol):
    """Images with classes: a source, or the features of its images."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes; None without classes."""

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 [N]; None unless each image has exactly one class."""


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features and labels of two sets of images.

    Attributes:
        train: Features to fit on, from N images.
        train_labels: Int64 [N], positions in `class_names`; bool [N, L] if an image may have several of L classes.
        test: Features to measure the accuracy on, from M images.
        test_labels: Labels of the test images, in the same form.
        class_names: Names of the classes, in the order of the training set.
    """

    train: FeatureSet
    train_labels: np.ndarray
    test: FeatureSet
    test_labels: np.ndarray
    class_names: tuple[str, ...]


def class_labels(train: Labelled, test: Labelled) -> Labels:
    """Returns the labels of two sets, as `matched_labels` does, if each class has a training image.

    Raises:
        InputError: `matched_labels` raises it, or a class has no training image.
    """
    labels = matched_labels(train, test)
    check_no_class_is_empty(labels[0], labels[1])
    return labels


def labelled_features(train: FeatureSet, test: FeatureSet, labels: Labels) -> LabelledFeatures:
    """Combines a training set, a test set and their labels.

    Args:
        train: Features to fit on.
        test: Features to measure on.
        labels: Labels of both, from `class_labels`, `matched_labels` or `matched_matrices`.

    Raises:
        InputError: The features come from two models, or the sets share images.
    """
    check_alike(train, test)
    class_names, train_labels, test_labels = labels
    return LabelledFeatures(train, train_labels, test, test_labels, class_names)


def check_alike(train: FeatureSet, test: FeatureSet) -> None:
    """Raises an error if two feature sets cannot be used together.

    Raises:
        InputError: The features come from two models or from images prepared in two ways, or the sets share images.
    """
    for what, one, other in (
        ("models", train.origin.digest, test.origin.digest),
        ("transforms of the images", train.origin.transform, test.origin.transform),
        ("ways of pooling", train.origin.poolings, test.origin.poolings),
    ):
        if one != other:
            raise InputError(
                f"the features of {train.origin.data} and {test.origin.data} come from two {what}, {one} and {other}; "
                "extract both in the same way"
            )
    check_disjoint(train.fingerprints, test.fingerprints)


def check_no_class_is_empty(class_names: Sequence[str], labels: np.ndarray) -> None:
    """Raises an error if a class has no training image.

    Args:
        class_names: Names of all classes.
        labels: Classes of the training images, int [n].

    Raises:
        InputError: A class has no image. The message names such classes.
    """
    num_images = np.bincount(labels, minlength=len(class_names))
    empty = [name for name, number in zip(class_names, num_images, strict=True) if not number]
    if empty:
        raise InputError(
            f"the training data has no image of {named(empty)}; add images, or leave the class out of both data sets"
        )


def checked_labels(data: Labelled, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the class names of a data set, and the class of each image, int64 [N].

    Args:
        data: Images with classes.
        name: Name of the data set for messages.

    Raises:
        InputError: The data set has no labels, several labels for one image, or labels beyond its classes.
    """
    if data.class_names is None:
        raise InputError(
            f"{name} has no labels; give folder:DIR with a sub-folder for each class, each with two images or more"
        )
    labels = data.labels
    if labels is None:
        raise InputError(f"{name} has images without a label or with several labels; use linear_svm.py for such data")
    _check_range(labels, data.class_names, name)
    return data.class_names, labels


def matched_labels(train: Labelled, test: Labelled) -> Labels:
    """Returns the training set's class names, and the labels of both sets in its numbering, int64 [N] and [M].

    Raises:
        InputError: One of the sets has no labels, several labels for one image, or labels beyond its classes; or the
            classes of the sets differ.
    """
    train_names, train_labels = checked_labels(train, "the training data")
    test_names, test_labels = checked_labels(test, "the test data")
    check_same_classes(train_names, test_names)
    return train_names, train_labels, np.array([train_names.index(name) for name in test_names], np.int64)[test_labels]


def matched_matrices(train: FeatureSet, test: FeatureSet) -> Labels:
    """Returns the training set's class names, and which classes each image has, bool [N, L] and [M, L].

    Raises:
        InputError: One of the sets has no labels or labels beyond its classes, or their classes differ.
    """
    for data, name in ((train, "the training data"), (test, "the test data")):
        if data.class_names is None:
            raise InputError(f"{name} has no labels; give csv:FILE with the labels of each image")
        _check_range(np.array(list(itertools.chain(*data.classes)), np.int64), data.class_names, name)
    names, test_names = train.class_names or (), test.class_names or ()
    check_same_classes(names, test_names)
    train_matrix = _matrix(train.classes, np.arange(len(names)))
    test_matrix = _matrix(test.classes, np.array([names.index(name) for name in test_names]))
    check_no_class_is_empty(names, train_matrix.nonzero()[1])
    return names, train_matrix, test_matrix


def check_same_classes(train_names: Sequence[str], test_names: Sequence[str]) -> None:
    """Raises an error if training and test data have different classes.

    Raises:
        InputError: The classes differ. The message names those that only one data set has.
    """
    for name, extra in (
        ("training", sorted(set(train_names) - set(test_names))),
        ("test", sorted(set(test_names) - set(train_names))),
    ):
        if extra:
            raise InputError(
                f"only the {name} data has the classes {named(extra)}; give data sets with the same classes"
            )


def named(names: Sequence[str]) -> str:
    """Returns the first few names and the number of others, for a sentence."""
    return ", ".join(names[:_NUM_NAMED]) + (f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else "")


def _matrix(classes: Sequence[tuple[int, ...]], numbering: np.ndarray) -> np.ndarray:
    """Returns which classes each image has, bool [N, L]; class c of the data has column `numbering[c]`."""
    matrix = np.zeros([len(classes), len(numbering)], bool)
    for row, of_image in zip(matrix, classes, strict=True):
        row[numbering[list(of_image)]] = True
    return matrix


def _check_range(labels: np.ndarray, class_names: Sequence[str], name: str) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < len(class_names):
        raise InputError(
            f"{name} has labels from {labels.min()} to {labels.max()} for {len(class_names)} classes; correct the "
            "labels or the list of classes"
        )
