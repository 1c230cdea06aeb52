"""Requests for evaluations check the labels early."""

from pathlib import Path

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.builtin import class_names, render_image
from seer_tf.evaluation.evaluations import linear_probe
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.labelled import Labels, class_labels
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.request import EvaluationRequest


def test_labels_are_checked_once_before_the_extraction(tmp_path: Path) -> None:
    """The test fails if the labels are checked again with the features."""
    for number in range(32):
        encoded, label = render_image("train", number)
        file = tmp_path / ("train" if number < 24 else "test") / class_names[label] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded)
    seen: list[list[str]] = []

    def match(train: FeatureSet, test: FeatureSet) -> Labels:
        seen.append([*train.rows, *test.rows])
        return class_labels(train, test)

    train, test = (f"folder:{tmp_path / part}" for part in ("train", "test"))
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
