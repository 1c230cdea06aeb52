"""Robustness: one classifier on test sets that have some of its classes, under the same or other names.

As usual with ImageNet-A and ImageNet-R, the classifier chooses among the classes that have an image in the test set.

Shapes: N images, L classes of the classifier.
"""

import csv
import os
from collections.abc import Mapping, Sequence

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import named

ClassMap = Mapping[str, Sequence[str]]
"""Classifier classes that are correct for each class of a test set, by name."""


def read_class_map(*paths: str | os.PathLike[str]) -> ClassMap:
    """Reads CSV files. Each line has a test class and a classifier class; a class may be on any number of lines.

    Raises:
        InputError: A file cannot be read, a line does not have two cells, or two files map the same class.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        of_file: dict[str, list[str]] = {}
        for name, of_classifier in _rows(path):
            of_file.setdefault(name, []).append(of_classifier)
        again = sorted(of_file.keys() & found.keys())
        if again:
            raise InputError(
                f"{path} maps {named(again)} a second time; put all lines about a class into one file, or evaluate the "
                "test sets with separate commands"
            )
        found |= of_file
    return found


def right_classes(
    classifier_names: Sequence[str], test_names: Sequence[str], labels: np.ndarray, class_map: ClassMap
) -> np.ndarray:
    """Returns which classifier classes are correct for each class of a test set, bool [test classes, L].

    Args:
        classifier_names: Names of the classifier's classes, in the order of the logits.
        test_names: Names of the test set's classes, in the order of its labels.
        labels: Labels of the test set, int [N]. Names of classes without an image are ignored.
        class_map: Map of class names that differ; a class that is not in it has the same name in the classifier.

    Raises:
        InputError: The classifier does not know a test image's class, or a class that the map names for it.
    """
    numbers = {name: number for number, name in enumerate(classifier_names)}
    matrix = np.zeros([len(test_names), len(classifier_names)], bool)
    unknown = []
    for label in np.unique(labels):
        for name in class_map.get(test_names[label], (test_names[label],)):
            if name in numbers:
                matrix[label, numbers[name]] = True
            else:
                unknown.append(name)
    if unknown:
        raise InputError(
            f"the classifier has no class {named(unknown)}; map the names by `class_map`, or give a test set with the "
            "classifier's classes"
        )
    return matrix


def restricted_correct(logits: np.ndarray, labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns which images are classified correctly if only classes with images in the test set count, bool [N].

    Args:
        logits: [N, L].
        labels: Labels of the test set, int [N].
        right: Correct classes for each test class, from `right_classes`.
    """
    there = right[np.unique(labels)].any(axis=0)  # [L]
    predictions = np.where(there, logits, -np.inf).argmax(axis=1)
    return right[labels, predictions]


def _rows(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a map of classes: {error}") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise InputError(f"{path}: row {number} has {len(row)} cells; write a test class and a classifier class")
    return [(name, of_classifier) for name, of_classifier in rows]
