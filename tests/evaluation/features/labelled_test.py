"""Two labelled sets get one numbering of classes, by name."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.feature_set import Extractor, FeatureSet, Origin
from seer_tf.evaluation.features.labelled import (
    class_labels,
    labelled_features,
    matched_labels,
    matched_matrices,
    matched_rows,
    uncovered,
)
from seer_tf.evaluation.features.stages import Pooling


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
    """The test fails if the test set keeps its own class numbers."""
    names, train, test = matched_labels(_Named([0, 1, 2], ("a", "b", "c")), _Named([0, 0, 1, 2], ("c", "a", "b")))
    assert names == ("a", "b", "c")
    assert (train.tolist(), test.tolist()) == ([0, 1, 2], [2, 2, 0, 1])


@pytest.mark.parametrize(
    ("train", "test", "text"),
    [
        (_Named([0], None), _Named([0, 1], ("a", "b")), "the training data has no labels"),
        (_Named([0, 1], ("a", "b")), _Named([0], None), "the test data has no labels"),
        (_Named([0, 1], ("a", "b")), _Named([0, 1], ("a", "x")), "only the test data has the classes x;"),
        (_Named([0], ("a",)), _Named([0], ("a",)), "the training data has only one class, a,"),
    ],
)
def test_labels_that_cannot_be_matched_are_refused(train, test, text):
    """Each error is one sentence."""
    with pytest.raises(InputError, match=text):
        matched_labels(train, test)


def test_features_and_labels_belong_together(tmp_path: Path) -> None:
    """Each class has its own brightness, and the feature is the brightness."""
    levels = {"bright": 200, "dark": 20, "medium": 110}
    for part, names, offset in (("train", sorted(levels), 0), ("test", sorted(levels, reverse=True), 4)):
        for name in names:
            for number in range(3):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
                image = np.full([40, 50 + number, 3], levels[name] + number + offset, np.uint8)
                Image.fromarray(image).save(tmp_path / part / name / f"{number}.png")
    mean = lambda images: {"mean": tf.reduce_mean(tf.cast(images, tf.float32), [1, 2])}  # noqa: E731
    extractor = Extractor(mean, {"mean": Pooling(1, 1, 3)}, "pixels", "mean", Transform(16), batch_size=4)
    train, test = (
        extractor.extract(open_source(f"folder:{tmp_path / part}"), f"folder:{part}") for part in ("train", "test")
    )
    found = labelled_features(train, test, class_labels(train, test))
    for features, labels in ((found.train, found.train_labels), (found.test, found.test_labels)):
        expected = [levels[found.class_names[label]] for label in labels]
        assert features.rows["mean"].shape == (9, 3)
        np.testing.assert_allclose(features.rows["mean"][:, 0], expected, atol=6.5)


def _features(**changes: Any) -> FeatureSet:
    """Returns four images in two classes. No other set has the same files."""
    values = {
        "origin": Origin("RUN", "digest", Transform(32), {"avgpool": Pooling(1, 1, 2)}, "folder:X"),
        "rows": {"avgpool": np.zeros([4, 2], np.float32)},
        "ids": list("abcd"),
        "fingerprints": np.random.default_rng().integers(1, 2**63, 4).astype(np.uint64),
        "class_names": ("x", "y"),
        "classes": [(0,), (0,), (1,), (1,)],
    }
    return FeatureSet(**{**values, **changes})


_ORIGIN = _features().origin
_SHARED = _features().fingerprints


@pytest.mark.parametrize(
    ("train", "test", "text"),
    [
        ({"origin": dataclasses.replace(_ORIGIN, digest="other")}, {}, "from two models, other and digest"),
        ({}, {"origin": dataclasses.replace(_ORIGIN, transform=Transform(16))}, "from two transforms of the images"),
        ({"classes": [(0,), (0,), (0,), (0,)]}, {}, "no image of y"),
        ({}, {"classes": [(0,), (0,), (1,), (2,)]}, "labels from 0 to 2 for 2 classes"),
        ({"classes": [(0,), (0, 1), (1,), (1,)]}, {}, "training data has images without a label or with several"),
    ],
)
def test_sets_that_do_not_fit_together_are_refused(train, test, text):
    """Each error is one sentence."""
    with pytest.raises(InputError, match=text):
        one, other = _features(**train), _features(**test)
        labelled_features(one, other, class_labels(one, other))


def test_the_test_set_may_lack_classes_or_name_classes_without_images():
    """The test fails if class numbers are compared instead of names, or if a class without images counts."""
    names, _, test = matched_labels(_Named([0, 1, 2], ("a", "b", "c")), _Named([1, 1], ("x", "b")))
    assert names == ("a", "b", "c") and test.tolist() == [1, 1]
    one, other = _features(), _features(classes=[(1,)] * 4)
    found = labelled_features(one, other, class_labels(one, other))
    assert found.test_labels.tolist() == [1] * 4 and uncovered(found.train, found.test) == ["x"]
    _, _, matrix = matched_matrices(_features(), _features(class_names=("z", "y"), classes=[(1,), (), (1,), ()]))
    assert matrix.tolist() == [[False, True], [False, False], [False, True], [False, False]]


def test_files_of_the_training_set_are_left_out_of_the_test_set(caplog):
    """Names, classes and rows are left out too."""
    rows = {"avgpool": np.arange(8, dtype=np.float32).reshape(4, 2)}
    shared = _SHARED[[1, 2, 1, 0]] ^ np.array([0, 7, 0, 7], np.uint64)
    one, other = _features(fingerprints=_SHARED), _features(fingerprints=shared, rows=rows)
    found = labelled_features(one, other, class_labels(one, other))
    test = found.test
    assert found.test_labels.tolist() == [0, 1] and test.labels is not None
    assert (test.ids, test.classes, test.labels.tolist()) == (["b", "d"], [(0,), (1,)], [0, 1])
    assert test.rows["avgpool"][:].tolist() == [[2, 3], [6, 7]]
    assert "2 of 4 test images are files of the training data too and are left out" in caplog.text
    with pytest.raises(InputError, match="all of the 4 test images"):
        labelled_features(one, one, class_labels(one, one))


def test_several_classes_of_an_image_are_matched_by_name():
    """The test fails if the test set keeps its own class numbers."""
    train = _features(classes=[(0, 1), (), (1,), (0,)])
    test = _features(class_names=("y", "x"), classes=[(0,), (0, 1), (1,), ()])
    names, train_rows, test_rows = matched_rows(train, test)
    assert names == ("x", "y")
    assert train_rows[:].tolist() == [[1, 1], [0, 0], [0, 1], [1, 0]]
    assert test_rows[:].tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    assert test_rows[np.array([2, 0])].tolist() == [[1, 0], [0, 1]]
    with pytest.raises(InputError, match="the test data has no labels"):
        matched_rows(train, _features(class_names=None, classes=[()] * 4))
    with pytest.raises(InputError, match="no image of y"):
        matched_rows(_features(classes=[(0,)] * 4), test)


def test_a_class_that_is_neither_present_nor_absent_is_unknown():
    """The test fails if an unknown class counts as absent."""
    train = _features(classes=[(0,), (1,), (), ()])
    test = _features(class_names=("y", "x"), classes=[(0,), (), (1,), ()], absent=[(1,), (0, 1), (), (0,)])
    assert matched_rows(train, test)[2][:].tolist() == [[0, 1], [0, 0], [1, -1], [-1, 0]]


@pytest.mark.parametrize("label", [-1, 2])
def test_several_classes_out_of_range_are_refused(label):
    """The test fails if -1 means the last class, as in NumPy."""
    with pytest.raises(InputError, match=f"the test data has labels from {min(label, 0)} to {max(label, 1)} for 2 cl"):
        matched_rows(_features(), _features(classes=[(0,), (0, 1), (label,), ()]))
