"""Labelled features for classifiers on frozen features: a training set to fit on and a test set to measure on."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.fingerprints import unshared
from seer_tf.evaluation.features.label_rows import LabelRows

Labels = tuple[tuple[str, ...], np.ndarray, np.ndarray]
"""Class names; labels of training and test images: int64 [N] and [M], or int8 [N, L] and [M, L] of `LabelRows`."""

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
        train_labels: Int64 [N], positions in `class_names`; int8 [N, L] of `LabelRows` for several of L classes.
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
    """Combines a training set, a test set without the files of the training set, and their labels.

    Args:
        train: Features to fit on.
        test: Features to measure on.
        labels: Labels of both, from `class_labels`, `matched_labels` or `matched_matrices`.

    Raises:
        InputError: The features come from two models, or every test image is a training image.
    """
    check_alike(train, test)
    class_names, train_labels, test_labels = labels
    kept = unshared(train.fingerprints, test.fingerprints)
    return LabelledFeatures(train, train_labels, test.selected(kept), test_labels[kept], class_names)


def uncovered(train: FeatureSet, test: FeatureSet) -> list[str]:
    """Returns the names of the training classes without a test image, which a result does not cover."""
    test_names = test.class_names or ()
    there = {test_names[label] for classes in test.classes for label in classes}
    return [name for name in train.class_names or () if name not in there]


def check_alike(train: FeatureSet, test: FeatureSet) -> None:
    """Raises an error if two feature sets cannot be used together.

    Raises:
        InputError: The features come from two models or from images prepared in two ways.
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
        raise InputError(f"{name} has no labels; give folder:DIR with a sub-folder for each class")
    labels = data.labels
    if labels is None:
        raise InputError(
            f"{name} has images without a label or with several labels; use linear_svm.py for such data, or "
            "linear_probe.py with recipe vissl_openimages"
        )
    _check_range(labels, data.class_names, name)
    return data.class_names, labels


def matched_labels(train: Labelled, test: Labelled) -> Labels:
    """Returns the training set's class names, and the labels of both sets in its numbering, int64 [N] and [M].

    Raises:
        InputError: One of the sets has no labels, several labels for one image, or labels beyond its classes; a class
            with test images is not in the training set; or the training set has one class only.
    """
    train_names, train_labels = checked_labels(train, "the training data")
    test_names, test_labels = checked_labels(test, "the test data")
    if len(train_names) == 1:
        raise InputError(
            f"the training data has only one class, {train_names[0]}, so every answer would be right; add images of "
            "another class"
        )
    return train_names, train_labels, _numbering(train_names, test_names, np.unique(test_labels))[test_labels]


def matched_matrices(train: FeatureSet, test: FeatureSet) -> Labels:
    """Returns what `matched_rows` does, as whole matrices, int8 [N, L] and [M, L].

    Raises:
        InputError: `matched_rows` raises it.
    """
    names, train_rows, test_rows = matched_rows(train, test)
    return names, train_rows[:], test_rows[:]


def matched_rows(train: FeatureSet, test: FeatureSet) -> tuple[tuple[str, ...], LabelRows, LabelRows]:
    """Returns the training set's class names, and which classes each image of both sets has.

    Raises:
        InputError: One of the sets has no labels or labels beyond its classes, or a class with test images has no
            training image.
    """
    for data, name in ((train, "the training data"), (test, "the test data")):
        if data.class_names is None:
            raise InputError(f"{name} has no labels; give csv:FILE with the labels of each image")
        listed = itertools.chain(*data.classes, *(data.absent or ()))
        _check_range(np.array(list(listed), np.int64), data.class_names, name)
    names, test_names = train.class_names or (), test.class_names or ()
    used = np.unique(np.array(list(itertools.chain(*test.classes)), np.int64))
    train_rows = LabelRows(train.classes, train.absent, np.arange(len(names)), len(names))
    test_rows = LabelRows(test.classes, test.absent, _numbering(names, test_names, used), len(names))
    check_no_class_is_empty(names, train_rows.present())
    return names, train_rows, test_rows


def _numbering(train_names: Sequence[str], test_names: Sequence[str], used: np.ndarray) -> np.ndarray:
    """Returns the number of each test class in the training set, int64 [test classes]; -1 for one that is not there.

    Args:
        train_names: Classes of the training set.
        test_names: Classes of the test set.
        used: Numbers of the test classes that have images, int64 [n].

    Raises:
        InputError: A class that has test images is not in the training set.
    """
    numbers = {name: number for number, name in enumerate(train_names)}
    numbering = np.array([numbers.get(name, -1) for name in test_names], np.int64)
    extra = sorted(test_names[number] for number in used if numbering[number] < 0)
    if extra:
        raise InputError(
            f"only the test data has the classes {named(extra)}; leave them out of the test data, or add training "
            "images of them"
        )
    return numbering


def named(names: Sequence[str]) -> str:
    """Returns the first few names and the number of others, for a sentence."""
    return ", ".join(names[:_NUM_NAMED]) + (f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else "")


def _check_range(labels: np.ndarray, class_names: Sequence[str], name: str) -> None:
    if labels.size and not 0 <= labels.min() <= labels.max() < len(class_names):
        raise InputError(
            f"{name} has labels from {labels.min()} to {labels.max()} for {len(class_names)} classes; correct the "
            "labels or the list of classes"
        )
