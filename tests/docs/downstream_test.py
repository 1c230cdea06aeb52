"""The page on using a network: its Python runs, its fine-tuning changes weights, and its request is valid."""

import base64
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.exporting.registry import FORMATS
from seer_tf.exporting.writers.saved_model import write_saved_model
from seer_tf.models import RegNetY
from tests.exporting.tiny_network import SIZE_PX, tiny_network
from tests.places import DOCS

_PAGE = (DOCS / "guides" / "downstream.md").read_text("utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel of a backbone."""
    directory = tmp_path_factory.mktemp("page") / "model"
    write_saved_model(tiny_network().selected("backbone"), directory)
    return directory


@pytest.fixture(scope="module")
def names(model: Path) -> dict[str, Any]:
    """The names that the page's blocks need, and the names that the blocks define."""
    generator = np.random.default_rng(0)
    names: dict[str, Any] = {
        "images": generator.integers(0, 256, [2, 40, 50, 3], np.uint8),
        "files": [_jpeg(generator), _jpeg(generator)],
        "crops": generator.normal(size=[4, SIZE_PX, SIZE_PX, 3]).astype(np.float32),
        "labels": np.array([0, 1, 0, 1]),
    }
    for block in _BLOCKS:
        if "segmenter" not in block:
            exec(block.replace('"MODEL"', repr(str(model))), names)
    return names


def _jpeg(generator: np.random.Generator) -> bytes:
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, [30, 40, 3], np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.slow
def test_five_steps_change_weights_and_statistics_in_tensorflow_and_in_keras(model, names):
    """The model from TensorFlow and the Keras layer are each compared with a second, untouched copy."""
    _all_moved(names["model"].variables, tf.saved_model.load(str(model)).variables)
    layer = keras.layers.TFSMLayer(str(model), call_endpoint="serve_float", call_training_endpoint="train_float")
    _all_moved(names["backbone"].weights, layer.weights)


def _all_moved(variables: Sequence[Any], untouched: Sequence[Any]) -> None:
    moved = [
        np.any(tf.convert_to_tensor(one) != tf.convert_to_tensor(other))
        for one, other in zip(variables, untouched, strict=True)
    ]
    assert moved and all(moved)


@pytest.mark.slow
def test_the_request_to_a_server_fits_the_signature(model, names):
    """The request uses the names of the SavedModel."""
    (text,) = re.findall(r"```json\n(.*?)```", _PAGE, re.DOTALL)
    request = json.loads(text.replace("BASE64", base64.b64encode(names["files"][0]).decode()))
    signature = tf.saved_model.load(str(model)).signatures[request["signature_name"]]
    inputs = {
        name: tf.constant([base64.b64decode(value["b64"]) for value in values])
        for name, values in request["inputs"].items()
    }
    assert signature(**inputs)["valid"].numpy().tolist() == [True]


def test_the_table_has_every_format_and_its_tolerance():
    """The table agrees with the code."""
    rows = re.findall(r"^\| `(\w+)`.*? \| .*? \| (\S+) \| [^|]+ \|$", _PAGE, re.MULTILINE)
    assert {name: float(tolerance) for name, tolerance in rows} == {
        name: kind.tolerance for name, kind in FORMATS.items()
    }


@pytest.mark.slow
def test_five_steps_of_segmentation_lower_the_loss(tmp_path):
    """The images are noise with a red right half. The exported model gives the same logits."""
    pytest.importorskip("keras_hub")
    photos = np.random.default_rng(0).integers(0, 100, [4, 64, 64, 3], np.uint8)
    photos[:, :, 32:, 0] += 150
    masks = np.broadcast_to(np.arange(64) >= 32, [4, 64, 64]).astype(np.int32)
    RegNetY("90MF").save(tmp_path / "backbone.keras")
    names: dict[str, Any] = {"tf": tf, "photos": photos, "masks": masks}
    (block,) = (block for block in _BLOCKS if "segmenter" in block)
    for name in ("RUN", "SEGMENTER"):
        block = block.replace(f'"{name}"', repr(str(tmp_path / {"RUN": "backbone.keras"}.get(name, name))))
    exec(block, names)
    assert names["losses"][-1] < 0.8 * names["losses"][0]
    assert names["classes"].shape == (4, 64, 64)
    segmenter = tf.saved_model.load(str(tmp_path / "SEGMENTER"))
    logits = segmenter.serve(names["network"].normalize(photos))
    np.testing.assert_array_equal(tf.argmax(logits, axis=-1), names["classes"])
