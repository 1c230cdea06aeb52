"""Two labelled sets in one numbering of the classes, by name."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.source import Source
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.labelled_features import labelled_features, matched_labels


class _Named(Source):
    """Labels and class names without images."""

    def __init__(self, labels: list[int], class_names: tuple[str, ...] | None) -> None:
        self.ids = [str(number) for number in range(len(labels))]
        self.class_names = class_names
        self._labels = None if class_names is None else np.array(labels, np.int64)

    @property
    def labels(self) -> np.ndarray | None:
        return self._labels

    def read(self, index: int) -> bytes:
        raise NotImplementedError


def test_classes_are_matched_by_name():
    """Fails if the test set's own numbers are taken."""
    names, train, test = matched_labels(_Named([0, 1, 2], ("a", "b", "c")), _Named([0, 0, 1, 2], ("c", "a", "b")))
    assert names == ("a", "b", "c")
    assert (train.tolist(), test.tolist()) == ([0, 1, 2], [2, 2, 0, 1])


@pytest.mark.parametrize(
    ("train", "test", "text"),
    [
        (_Named([0], None), _Named([0, 1], ("a", "b")), "the training data has no labels"),
        (_Named([0, 1], ("a", "b")), _Named([0], None), "the test data has no labels"),
        (_Named([0, 1], ("a", "b")), _Named([0, 1], ("a", "x")), "only the training data has the classes b;"),
        (_Named([0, 1], ("a", "b")), _Named([0], ("a", "b", "x")), "only the test data has the classes x;"),
    ],
)
def test_what_cannot_be_matched_is_refused(train, test, text):
    """Each with one sentence."""
    with pytest.raises(InputError, match=text):
        matched_labels(train, test)


def test_features_and_labels_belong_together(tmp_path: Path) -> None:
    """Each class has a brightness of its own, and so has its feature."""
    levels = {"bright": 200, "dark": 20, "medium": 110}
    for part, names in (("train", ["bright", "dark", "medium"]), ("test", ["medium", "dark", "bright"])):
        for name in names:
            for number in range(3):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
                image = np.full([40, 50 + number, 3], levels[name] + number, np.uint8)
                Image.fromarray(image).save(tmp_path / part / name / f"{number}.png")
    train, test = (open_source(f"folder:{tmp_path / part}") for part in ("train", "test"))
    mean = lambda images: tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])  # noqa: E731
    found = labelled_features(mean, train, test, size_px=16, batch_size=4)
    assert found.train.shape == found.test.shape == (9, 3)
    for features, labels in ((found.train, found.train_labels), (found.test, found.test_labels)):
        expected = [levels[found.class_names[label]] for label in labels]
        np.testing.assert_allclose(features[:, 0], expected, atol=2.5)
