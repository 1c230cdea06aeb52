"""Published results are found by the data set in the data spec."""

import dataclasses
from typing import Any

import pytest

from seer_tf.evaluation.published_results import FINE_TUNING, data_name, published_beside
from seer_tf.evaluation.result import EvaluationResult


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("tfds:imagenet2012@validation", "ImageNet"),
        ("folder:/data/ImageNet/val", "ImageNet"),
        ("tfds:i_naturalist2018@test", "iNaturalist 2018"),
        ("folder:Places205/val", "Places205"),
        ("tfds:voc/2007@test", "VOC07"),
        ("tfds:imagenet2012:5.1.0@validation", "ImageNet"),
        ("tfds:imagenet_a@test", None),
        ("folder:/data/imagenet-sketch", None),
        ("folder:tiny-imagenet/val", None),
        ("folder:cats", None),
    ],
)
def test_data_sets_are_known_by_their_flags(flag, name):
    """ImageNet's relatives are not ImageNet."""
    assert data_name(flag) == name


_PROBE = EvaluationResult(
    evaluation="linear_probe",
    protocol="vissl_imagenet",
    metric="top-1",
    value=0.7,
    interval=(0.69, 0.71),
    model="RUN",
    train_data="tfds:imagenet2012@train",
    test_data="tfds:imagenet2012@validation",
    num_train_images=1_281_167,
    num_test_images=50_000,
    num_classes=1000,
    seed=0,
    details={"recipe": "vissl_imagenet"},
)


def test_only_published_results_of_the_same_kind_are_shown():
    """The evaluation and the data are the same, with all classes."""
    rows = published_beside(_PROBE)
    seer = {row.model: (row.percent, row.source) for row in rows if "best stage" in row.source}
    assert seer["RegNetY-32GF"] == (74.03, "VISSL, best stage res5")
    assert seer["RegNetY-256GF"] == (77.51, "VISSL, best stage res5avg")
    assert seer["RegNetY-10B"] == (79.8, "VISSL, best stage res4")
    assert {(row.evaluation, row.data) for row in rows} == {("linear_probe", "ImageNet")}
    changes: tuple[dict[str, Any], ...] = (
        {"evaluation": "knn"},
        {"num_classes": 100},
        {"metric": "mAP"},
        {"test_data": "folder:cats"},
        {"details": {"recipe": "grid"}},
        {"details": {}},
    )
    for change in changes:
        assert not published_beside(dataclasses.replace(_PROBE, **change))


@pytest.mark.parametrize(
    ("data", "sources"),
    [
        ({"fraction": 1.0}, {"the paper, table 1, resolution not stated"}),
        ({"fraction": 0.1}, {"the paper, 10 % of the labels"}),
        ({"fraction": 0.5}, set()),
        ({"fraction": 1.0, "subset_list": "few.txt"}, set()),
    ],
)
def test_fine_tuning_is_compared_with_results_from_as_many_labels(data, sources):
    config = {"data": data, "classifier": {"untrained": False}}
    outcome = dataclasses.replace(_PROBE, evaluation=FINE_TUNING, details={"config": config})
    assert {row.source for row in published_beside(outcome)} == sources


def test_training_from_random_weights_is_compared_only_with_supervised_networks():
    config = {"data": {"fraction": 1.0}, "classifier": {"untrained": True}, "transform": {"size_px": 384}}
    outcome = dataclasses.replace(_PROBE, evaluation=FINE_TUNING, details={"config": config})
    assert {row.source for row in published_beside(outcome)} == {"VISSL, supervised, from pycls"}


@pytest.mark.parametrize(("size_px", "found"), [(384, True), (224, False)])
def test_fine_tuning_is_compared_with_results_at_its_resolution(size_px, found):
    config = {"data": {"fraction": 1.0}, "classifier": {"untrained": False}, "transform": {"size_px": size_px}}
    outcome = dataclasses.replace(_PROBE, evaluation=FINE_TUNING, details={"config": config})
    assert ("VISSL, 384 px" in {row.source for row in published_beside(outcome)}) is found
