"""Fine-tuning of a detector by Python: what it returns and writes, and what is refused."""

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import seer_tf
from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from tests.api.boxes import write_boxes

pytest.importorskip("keras_hub")
pytest.importorskip("pycocotools")

_SHORT: dict[str, Any] = {"size_px": 128, "num_steps": 2, "batch_size": 2, "num_head_layers": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory with a backbone and a set with boxes."""
    place = tmp_path_factory.mktemp("detection")
    RegNetY("90MF").save(place / "backbone.keras")
    write_boxes(place / "boxes", ("train", "test"))
    return place


@pytest.mark.slow
def test_a_detector_is_written_with_its_precision(place: pathlib.Path) -> None:
    tuned = seer_tf.finetune_detector(place / "backbone.keras", place / "detector", boxes=place / "boxes", **_SHORT)
    assert tuned.num_test_images == 4 and set(tuned.precision.ap50) == {"cat", "dog"}
    kept = json.loads((place / "detector" / "metadata.json").read_text("utf-8"))["detection"]
    assert json.loads(tuned.to_json()) == kept and kept["map"] == tuned.precision.map
    assert "<th>dog, AP50</th>" in tuned._repr_html_() and "on 4 images" in tuned.lines()[0]
    found = tf.saved_model.load(tuned.path).signatures["serve"](images=np.zeros([1, 50, 90, 3], np.uint8))
    assert found["boxes"].shape == (1, 100, 4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "nowhere"}, "there is no file or directory nowhere"),
        ({"boxes": "nowhere"}, "nowhere is not there; give a directory of images with boxes"),
        ({"test_split": "train"}, "`train_split` and `test_split` are both train"),
        ({"test_split": "val"}, "has no split 'val'"),
        ({"size_px": 200}, "multiple of 128 px"),
        ({"num_steps": 0}, "`num_steps=0` must be 1 or more"),
        ({"output_dir": "."}, "exists already"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_leaves_nothing(
    place: pathlib.Path, tmp_path: pathlib.Path, changes: dict[str, Any], sentence: str
) -> None:
    arguments = {"model": place / "backbone.keras", "boxes": place / "boxes", "output_dir": tmp_path / "new"}
    with pytest.raises(InputError, match=sentence):
        seer_tf.finetune_detector(**{**arguments, **_SHORT, **changes})
    assert list(tmp_path.iterdir()) == []
