"""One classifier on test sets whose classes are some of its own, under the same names or under others.

As usual with ImageNet-A and ImageNet-R, the classifier chooses among the classes that have an image in the test set.

N images, L classes of the classifier.
"""

import csv
import os
from collections.abc import Mapping, Sequence

import numpy as np

from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import named

ClassMap = Mapping[str, Sequence[str]]
"""From the name of a class of a test set to those classes of the classifier that are right for it."""


def read_class_map(*paths: str | os.PathLike[str]) -> ClassMap:
    """Reads CSV files: on each line a class of a test set and a class of the classifier; any number for each.

    Raises:
        InputError: one cannot be read, a line has not two cells, or two files map the same class.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        of_file: dict[str, list[str]] = {}
        for name, of_classifier in _rows(path):
            of_file.setdefault(name, []).append(of_classifier)
        again = sorted(of_file.keys() & found.keys())
        if again:
            raise InputError(
                f"{path} maps {named(again)} a second time, and one of the maps would be lost; put what belongs to one "
                "class into one file, or give the test sets to commands of their own"
            )
        found |= of_file
    return found


def right_classes(
    classifier_names: Sequence[str], test_names: Sequence[str], labels: np.ndarray, class_map: ClassMap
) -> np.ndarray:
    """Returns which classes of the classifier are right for each class of a test set, bool [test classes, L].

    Args:
        classifier_names: Names of the classes, in the order of the logits.
        test_names: Test names in the order of the test set's labels.
        labels: Labels of the test set, int [N]; what classes without an image are called does not matter.
        class_map: Class map of names that differ; a class that is not in it has its own name.

    Raises:
        InputError: a class of a test image, or one that the map names for it, is not the classifier's.
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
            f"the classifier has no class {named(unknown)}; map the names by `class_map`, or give a test set of its "
            "own classes"
        )
    return matrix


def restricted_correct(logits: np.ndarray, labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns which images are classified right among the classes that the test set has images of, bool [N].

    Args:
        logits: [N, L].
        labels: Labels of the test set, int [N].
        right: What `right_classes` returns.
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
            raise InputError(
                f"{path}: row {number} has {len(row)} cells; write a test class and one of the classifier's"
            )
    return [(name, of_classifier) for name, of_classifier in rows]
