"""Requests for evaluations check the labels early."""

from pathlib import Path

import pytest

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.builtin import class_names
from seer_tf.evaluation.evaluations import linear_probe
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.labelled import Labels, class_labels
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest
from tests.class_folders import write_class_folders


def _folders(place: Path) -> tuple[str, str]:
    """Writes 24 training images and 8 test images, and returns their data flags."""
    write_class_folders(place / "train", "train", range(24))
    write_class_folders(place / "test", "train", range(24, 32))
    return f"folder:{place / 'train'}", f"folder:{place / 'test'}"


def test_labels_are_checked_once_before_the_extraction(tmp_path: Path) -> None:
    """The test fails if the labels are checked again with the features."""
    train, test = _folders(tmp_path)
    seen: list[list[str]] = []

    def match(train: FeatureSet, test: FeatureSet) -> Labels:
        seen.append([*train.rows, *test.rows])
        return class_labels(train, test)

    features = EvaluationRequest(FeatureRequest(pixels="thumbnail"), train, test).labelled(match)
    assert seen == [[]]
    assert features.train.labels is not None and features.train_labels.tolist() == features.train.labels.tolist()
    assert len(features.train.rows["thumbnail"]) == len(features.train_labels) == 24


def test_recipes_of_whole_images_squeeze_them_at_once() -> None:
    """`--squash` alone is VOC07's way, in two steps."""
    request = EvaluationRequest(FeatureRequest(model="RUN", squash=True), "folder:a", "folder:b")
    assert request.features._asked(Transform(224)) == Transform(224, squash=True)
    whole = linear_probe._of_whole_images(request)
    assert whole.features._asked(Transform(224)) == Transform(224, squash=True, at_once=True)


def test_an_image_that_does_not_decode_costs_that_image_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The labels of the other images stay with them, and the result has the numbers of images that were measured."""
    train, test = _folders(tmp_path)
    for part in ("train", "test"):
        cut = sorted((tmp_path / part).glob("*/*.jpg"))[1]
        cut.write_bytes(cut.read_bytes()[:-200])
    (tmp_path / "test" / class_names[0] / "text.jpg").write_text("no image")
    with caplog.at_level("WARNING"):
        features = EvaluationRequest(FeatureRequest(pixels="thumbnail"), train, test).labelled()
    assert (features.train.num_images, features.test.num_images) == (23, 7)
    for found, labels in ((features.train, features.train_labels), (features.test, features.test_labels)):
        assert [features.class_names[label] for label in labels] == [name.split("/")[0] for name in found.ids]
    assert "1 of 24 images left out (" in caplog.text and "text.jpg: not an image" in caplog.text
