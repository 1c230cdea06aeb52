"""The labelled images of the training set and the test set of a fine-tuning run.

Legend: M test images.
"""

import dataclasses

import numpy as np

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.subset import select_subset
from seer_tf.evaluation.features.fingerprints import check_disjoint, fingerprints
from seer_tf.evaluation.features.labelled import check_no_class_is_empty, class_labels
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

    def check_disjoint(self) -> None:
        """Reads every file once, and raises an error if the two sets have files in common.

        Raises:
            InputError: The sets have files in common; the message gives their number.
        """
        check_disjoint(fingerprints(self.train), fingerprints(self.test))


def labelled_images(data: LabelledDataConfig, *, seed: int) -> LabelledImages:
    """Opens both sets and chooses the part of the training set to train on.

    Args:
        data: Labelled data configuration.
        seed: Seed of the choice.

    Raises:
        InputError: A set has no labels or labels out of range, the classes of the sets differ, a class has no training
            image, or the part is larger than the training set.
    """
    train, test = open_source(data.train), open_source(data.test)
    class_names, labels, test_labels = class_labels(train, test)
    chosen = select_subset(train, labels, fraction=data.fraction, list_path=data.subset_list, seed=seed)
    assert chosen.labels is not None
    check_no_class_is_empty(class_names, chosen.labels)
    return LabelledImages(chosen, test, test_labels, class_names)
