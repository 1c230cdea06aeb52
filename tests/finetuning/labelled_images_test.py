"""Labelled images for fine-tuning: subsets, class names, and errors in one sentence."""

import dataclasses
import pathlib
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.classification import among_first
from seer_tf.finetuning.config import LabelledDataConfig
from seer_tf.finetuning.labelled_images import labelled_images


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Four sets of images in class folders and a list of images in one class.

    One set lacks a class, and one set has a single class.
    """
    place, random = tmp_path_factory.mktemp("labelled"), np.random.default_rng(0)
    for name, classes in (("train", "abc"), ("test", "cba"), ("other", "ab"), ("single", "a")):
        for label in classes:
            (place / name / label).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(0, 256, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / name / label / f"{number}.png")
    (place / "a.txt").write_text("a/0.png\na/3.png\n")
    return place


def config(place: pathlib.Path, **fields: Any) -> LabelledDataConfig:
    data = LabelledDataConfig(train=f"folder:{place}/train", test=f"folder:{place}/test")
    return dataclasses.replace(data, **fields)


def test_a_subset_keeps_its_labels(place: pathlib.Path) -> None:
    data = labelled_images(config(place, fraction=0.5), seed=0)
    assert data.class_names == ("a", "b", "c")
    assert data.train.labels is not None and np.bincount(data.train.labels).tolist() == [2, 2, 2]
    assert [data.class_names[label] for label in data.test_labels] == [name[0] for name in data.test.ids]
    assert data.without_shared().test.num_images == 12 and not data.uncovered()


def test_test_images_that_do_not_decode_are_left_out(place: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shutil.copytree(place / "test", tmp_path / "test")
    (tmp_path / "test" / "a" / "1.png").write_bytes((place / "test" / "a" / "1.png").read_bytes()[:-100])
    data = labelled_images(config(place, test=f"folder:{tmp_path}/test"), seed=0).without_shared()
    assert data.test.num_images == 11 and "a/1.png" not in data.test.ids
    assert [data.class_names[label] for label in data.test_labels] == [name[0] for name in data.test.ids]


def test_a_class_without_test_images_is_named(place: pathlib.Path) -> None:
    data = labelled_images(config(place, test=f"folder:{place}/other"), seed=0)
    assert data.test_labels.tolist() == [0] * 4 + [1] * 4 and data.uncovered() == ["c"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"train": "folder:{place}/other"}, "only the test data has the classes c"),
        ({"test": "folder:{place}/train/a"}, "the test data has no labels"),
        ({"train": "folder:{place}/single", "test": "folder:{place}/single"}, "only one class, a, so every answer"),
        ({"fraction": 2.0}, "larger than the data"),
        ({"subset_list": "{place}/a.txt"}, "the training data has no image of b, c"),
        ({"subset_list": "{place}/none.txt"}, "none.txt cannot be read"),
    ],
)
def test_wrong_data_get_one_sentence(place: pathlib.Path, fields: dict[str, Any], sentence: str) -> None:
    filled = {name: value.format(place=place) if isinstance(value, str) else value for name, value in fields.items()}
    with pytest.raises(InputError, match=sentence):
        labelled_images(config(place, **filled), seed=0)


def test_files_that_both_sets_share_are_left_out_of_the_test_set_and_counted(
    place: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = labelled_images(config(place, test=f"folder:{place}/train", fraction=0.5), seed=0)
    kept = data.without_shared()
    assert "6 of 12 test images are files of the training data too and are left out" in caplog.text
    assert set(kept.test.ids) == set(data.test.ids) - set(data.train.ids) and kept.test_labels.tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
    data = labelled_images(config(place, test=f"folder:{place}/train"), seed=0)
    with pytest.raises(InputError, match="all of the 12 test images are files of the training data too"):
        data.without_shared()


def test_labels_among_the_largest_logits_count() -> None:
    logits = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]])
    labels = np.array([2, 0])
    assert among_first(logits, labels, 1).tolist() == [False, False]
    assert among_first(logits, labels, 2).tolist() == [True, False]
    with pytest.raises(InputError, match="needs at least 5 classes, and there are 3"):
        among_first(logits, labels, 5)
