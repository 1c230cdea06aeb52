"""The labelled images of the training set and the test set of a fine-tuning run.

Legend: M test images.
"""

import dataclasses
import functools

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.labelled import labelled_part, open_labelled
from seer_tf.data.sources.registry import name_of, open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.data.sources.subset import select_subset
from seer_tf.data.sources.usable import usable_numbers
from seer_tf.evaluation.features.fingerprints import fingerprints, unshared
from seer_tf.evaluation.features.labelled import class_labels
from seer_tf.finetuning.config import LabelledDataConfig


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """Two sets of images with the same classes.

    Attributes:
        train: Chosen part of the training set. Its labels are positions in `class_names`.
        test: Test set for the accuracy.
        test_labels: Labels of the test set, int64 [M], positions in `class_names`.
        class_names: Names of the classes, in the training set's order.
    """

    train: Source
    test: Source
    test_labels: np.ndarray
    class_names: tuple[str, ...]

    def identity(self) -> dict[str, str]:
        """Returns `Source.identity` of both sets, by config field."""
        return {f"data.{name}": getattr(self, name).identity(with_classes=True) for name in ("train", "test")}

    def without_shared(self) -> "LabelledImages":
        """Returns the same without the test images that are files of the training set, or cannot be decoded.

        The first call reads every file, and decodes the test images.

        Raises:
            InputError: Nothing is left of the test set.
        """
        kept = self._unshared
        return dataclasses.replace(self, test=Selection(self.test, kept), test_labels=self.test_labels[kept])

    @functools.cached_property
    def _unshared(self) -> np.ndarray:
        """Numbers of the usable test images that are no files of the training set, int64 [m]."""
        train, test = (fingerprints(source.read, source.num_images) for source in (self.train, self.test))
        numbers = usable_numbers(self.test)
        return numbers[unshared(train, test[numbers])]

    def uncovered(self) -> list[str]:
        """Returns the names of the classes without a test image, which an accuracy does not cover."""
        there = set(self.test_labels.tolist())
        return [name for number, name in enumerate(self.class_names) if number not in there]


def labelled_images(data: LabelledDataConfig, *, seed: int) -> LabelledImages:
    """Opens both sets and chooses the part of the training set to train on.

    Args:
        data: Labelled data configuration.
        seed: Seed of the choice.

    Raises:
        InputError: A set has no labels or labels out of range, a class with test images has no training image, a class
            has no image to learn from, or the part is larger than the training set.
    """
    train, test = open_source(data.train), open_labelled(data.test)
    subset = select_subset(train, fraction=data.fraction, list_path=data.subset_list, seed=seed)
    chosen = labelled_part(subset, name_of(data.train))
    class_names, _, test_labels = class_labels(chosen, test)
    return LabelledImages(chosen, test, test_labels, class_names)
