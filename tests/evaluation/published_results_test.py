"""Published numbers are found by the data set that a flag names."""

import pytest

from seer_tf.evaluation.published_results import data_name, published_beside


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("tfds:imagenet2012@validation", "ImageNet"),
        ("folder:/data/ImageNet/val", "ImageNet"),
        ("tfds:i_naturalist2018@test", "iNaturalist 2018"),
        ("folder:Places205/val", "Places205"),
        ("tfds:voc/2007@test", "VOC07"),
        ("tfds:imagenet_a@test", None),
        ("folder:cats", None),
    ],
)
def test_data_sets_are_known_by_their_flags(flag, name):
    """ImageNet's relatives are not ImageNet."""
    assert data_name(flag) == name


def test_only_numbers_of_the_same_kind_stand_beside_each_other():
    """The same evaluation on the same data."""
    rows = published_beside("linear_probe", "tfds:imagenet2012@validation")
    assert {row.model: row.percent for row in rows}["RegNetY-256GF"] == 77.51
    assert {(row.evaluation, row.data) for row in rows} == {("linear_probe", "ImageNet")}
    assert not published_beside("knn", "tfds:imagenet2012@validation")
