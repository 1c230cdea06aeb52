"""Training and test images of one set: the held-out part and the labels."""

import numpy as np
import pytest

from seer_tf.api.train_and_test import train_and_test
from seer_tf.errors import InputError
from tests.noise_images import write_classes


def test_a_fifth_of_each_class_is_held_out(tmp_path):
    """No image is in both parts, and no image is lost."""
    train, test = train_and_test(write_classes(tmp_path / "with a space", {"a": 20, "b": 10}))
    assert test is not None and train.class_names == test.class_names == ("a", "b")
    assert not set(train.ids) & set(test.ids)
    assert len(set(train.ids) | set(test.ids)) == 30
    for part, num_images in ((train, [16, 8]), (test, [4, 2])):
        assert part.labels is not None
        assert np.bincount(part.labels).tolist() == num_images
        assert ["ab"[label] for label in part.labels] == [name.split("/")[0] for name in part.ids]
        assert part.read(1) == (tmp_path / "with a space" / part.ids[1]).read_bytes()


@pytest.mark.parametrize("classes", [{"one folder": 12}, {"a": 20, "b": 9}])
def test_nothing_is_held_out_without_classes_or_if_a_class_has_too_few_images(tmp_path, classes):
    """All images are for training, and have no labels."""
    train, test = train_and_test(write_classes(tmp_path, classes))
    assert test is None and train.labels is None and train.class_names is None
    assert train.num_images == sum(classes.values())


def test_a_missing_directory_is_refused(tmp_path):
    """The error names the directory as the user gave it."""
    with pytest.raises(InputError, match="nowhere"):
        train_and_test(str(tmp_path / "nowhere"))
