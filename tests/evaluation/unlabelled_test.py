"""A set in which some images have no label: the labelled ones count, the others are counted and never looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seer_tf
from seer_tf.data.sources.labelled import open_labelled
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features.labelled import matched_matrices
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.evaluation.features.shards import write_features
from seer_tf.evaluation.request import EvaluationRequest
from seer_tf.finetuning.config import LabelledDataConfig
from seer_tf.finetuning.labelled_images import labelled_images

_COLORS = {"red": (200, 20, 20), "blue": (20, 20, 200)}
Table = Callable[[str, list[str]], str]
_LABELS = ["red", "blue", "", "red", "NaN", "blue"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Makes a table of images in the colours of their labels; an image without a label is green."""

    def make(name: str, labels: list[str]) -> str:
        lines = ["file,label"]
        for number, label in enumerate(labels):
            pixels = np.full([20, 20, 3], _COLORS.get(label, (9, 99, 9)), np.uint8)
            pixels[number, :3] += np.uint8(len(name))
            Image.fromarray(pixels).save(tmp_path / f"{name}_{number}.png")
            lines.append(f"{name}_{number}.png,{label}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        return f"csv:{tmp_path / name}.csv"

    return make


@pytest.mark.parametrize(
    ("protocol", "settings"),
    [("knn", {}), ("retrieval", {}), pytest.param("linear_probe", {"recipe": "optimum"}, marks=pytest.mark.slow)],
)
def test_evaluations_use_labelled_images_and_count_the_others(
    protocol: str, settings: dict[str, Any], table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    train, test = table("a", _LABELS * 3), table("other", _LABELS)
    found = seer_tf.evaluate(train=train, test=test, protocol=protocol, pixels="histogram", **settings)
    assert (found.num_train_images, found.num_test_images, found.value) == (12, 4, 1.0)
    assert f"{train}: 6 of 18 images have no label and are left out" in caplog.text
    assert f"{test}: 2 of 6 images have no label and are left out" in caplog.text


def test_stored_features_of_unlabelled_images_are_left_out(table: Table, tmp_path: Path) -> None:
    request, places = FeatureRequest(pixels="histogram"), []
    for name in ("train", "test"):
        spec, place = table(name, _LABELS), tmp_path / f"{name}.features"
        write_features(request.extractor(), open_source(spec), place, data=spec)
        places.append(f"features:{place}")
    found = EvaluationRequest(FeatureRequest(), places[0], places[1]).labelled()
    assert found.train.ids == [f"train_{number}.png" for number in (0, 1, 3, 5)]
    assert found.train_labels.tolist() == [1, 0, 1, 0]
    assert found.test.ids == [f"test_{number}.png" for number in (0, 1, 3, 5)]
    several = EvaluationRequest(FeatureRequest(), places[0], places[1]).labelled(matched_matrices, several_labels=True)
    assert several.train.num_images == 6, "an image may have none of several labels"


def test_fine_tuning_and_probes_use_the_labelled_images(table: Table) -> None:
    train, test = table("a", _LABELS), table("other", _LABELS)
    images = labelled_images(LabelledDataConfig(train=train, test=test), seed=0)
    assert images.train.num_images == 4 and images.train.labels is not None
    assert images.train.labels.tolist() == [1, 0, 1, 0] == images.test_labels.tolist()
    assert open_labelled(train).ids == [f"a_{number}.png" for number in (0, 1, 3, 5)]


def test_sets_that_are_labelled_or_unlabelled_as_a_whole_stay(table: Table, tmp_path: Path) -> None:
    assert open_labelled(table("full", ["red", "blue"])).num_images == 2
    assert open_labelled(f"folder:{tmp_path}").class_names is None
    with pytest.raises(InputError, match="several labels"):
        train, test = table("a", ["red;blue", "blue", ""]), table("other", ["red", "blue"])
        seer_tf.evaluate(train=train, test=test, protocol="knn", pixels="histogram")
