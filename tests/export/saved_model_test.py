"""The SavedModel: every signature against the evaluation path, bad input, and that nothing half-written stays."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.labelled import images_dataset
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.features import extract, image_features
from seer_tf.export import saved_model
from seer_tf.export.saved_model import export_saved_model, run_metadata
from seer_tf.models import SwavModel, build_swav_model
from seer_tf.recipes import recipe

_SIZE_PX = 32


@pytest.fixture(scope="module")
def model() -> SwavModel:
    """The smallest network, with moving statistics that are not those of any batch."""
    model = build_swav_model(recipe("debug_tiny"))
    for number, variable in enumerate(model.non_trainable_variables):
        variable.assign(variable + 0.01 * (number % 7))
    return model


@pytest.fixture(scope="module")
def exported(model: SwavModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of its SavedModel, which was compared in a fresh process."""
    output = tmp_path_factory.mktemp("export") / "with a space" / "model"
    metadata = run_metadata(recipe("debug_tiny"))
    assert export_saved_model(model, size_px=_SIZE_PX, output_dir=output, metadata=metadata) < 1e-5
    return output


@pytest.fixture(scope="module")
def signatures(exported: Path) -> Mapping[str, Callable]:
    """Its signatures, loaded again."""
    loaded = tf.saved_model.load(str(exported))
    return loaded.signatures


def _images(side_px: tuple[int, int], num_images: int = 3) -> np.ndarray:
    return np.random.default_rng(sum(side_px)).integers(0, 256, [num_images, *side_px, 3], np.uint8)


def _encoded(image: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("side_px", [(32, 32), (70, 45), (20, 90)])
def test_uint8_and_encoded_images_give_the_features_of_the_evaluation(model, signatures, side_px, tmp_path):
    """Read from files by the evaluation's own pipeline: fails if resize, crop, scale, mean or std differ."""
    images = _images(side_px)
    for number, image in enumerate(images):
        (tmp_path / f"{number}.png").write_bytes(_encoded(image, "PNG"))
    dataset = images_dataset(open_source(f"folder:{tmp_path}"), size_px=_SIZE_PX, batch_size=2)
    expected = extract(image_features(model), dataset, len(images))
    for name in ("serve", "serving_default"):
        np.testing.assert_allclose(signatures[name](images=images)["features"], expected, atol=1e-5)
    files = tf.constant([_encoded(image, "PNG") for image in images])
    np.testing.assert_allclose(signatures["serve_encoded"](encoded=files)["features"], expected, atol=1e-5)


def test_float_crops_are_taken_as_they_are(model, signatures):
    """Of any size."""
    crops = np.random.default_rng(0).normal(size=[2, 48, 40, 3]).astype(np.float32)
    expected = model.features(crops, training=False)
    np.testing.assert_allclose(signatures["serve_float"](crops=crops)["features"], expected, atol=1e-5)


def test_a_malformed_element_does_not_fail_the_rest(signatures):
    """It gets zeros and a flag; the others keep their places."""
    good, other = (_encoded(image, "JPEG") for image in _images((50, 40), 2))
    answer = signatures["serve_encoded"](encoded=tf.constant([b"", good, b"no image", good[:200], other]))
    assert answer["valid"].numpy().tolist() == [False, True, False, False, True]
    alone = signatures["serve_encoded"](encoded=tf.constant([good, other]))
    np.testing.assert_allclose(answer["features"].numpy()[[1, 4]], alone["features"], atol=1e-5)
    assert not answer["features"].numpy()[[0, 2, 3]].any()


def test_batches_of_nothing(signatures):
    """No image, and no image that can be decoded."""
    assert signatures["serve"](images=_images((40, 40), 0))["features"].shape == (0, 256)
    assert signatures["serve_float"](crops=tf.zeros([0, 32, 32, 3]))["features"].shape == (0, 256)
    assert signatures["serve_encoded"](encoded=tf.constant([], tf.string))["features"].shape == (0, 256)
    assert signatures["serve_encoded"](encoded=tf.constant([b"x", b"y"]))["valid"].numpy().tolist() == [False] * 2


def test_metadata_says_what_the_model_is(exported):
    """Enough to repeat the preprocessing elsewhere."""
    metadata = json.loads((exported / "metadata.json").read_text())
    assert metadata["feature_dim"] == 256
    assert metadata["recipe"] == "debug_tiny" and metadata["training_data"] == "builtin" and metadata["licence"] is None
    preprocessing = metadata["preprocessing"]
    assert (preprocessing["resize_shorter_side_px"], preprocessing["center_crop_px"]) == (37, 32)
    assert preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert metadata["versions"]["tensorflow"] == tf.__version__


def test_an_output_that_exists_is_left_alone(model, exported):
    """Fails if it is overwritten or merged."""
    before = (exported / "metadata.json").stat().st_mtime_ns
    with pytest.raises(InputError, match="exists already"):
        export_saved_model(model, size_px=_SIZE_PX, output_dir=exported, metadata={})
    assert (exported / "metadata.json").stat().st_mtime_ns == before


def test_the_fresh_process_sees_a_difference(model, exported):
    """The exported model against one whose first kernel is a hundredth larger."""
    moved = keras.models.clone_model(model)
    moved.set_weights(model.get_weights())
    kernel = moved.backbone.trainable_variables[0]
    kernel.assign(1.01 * kernel)
    assert saved_model._difference_in_fresh_process(exported, moved, _SIZE_PX) > 10 * saved_model.TOLERANCE


@pytest.mark.parametrize("difference", [2e-5, float("nan")])
def test_a_model_that_differs_after_loading_is_not_kept(model, tmp_path, monkeypatch, difference):
    """Neither under its name nor under a temporary one."""
    monkeypatch.setattr(saved_model.keras.export.ExportArchive, "write_out", lambda self, path, verbose: None)
    monkeypatch.setattr(saved_model, "_difference_in_fresh_process", lambda *arguments: difference)
    with pytest.raises(RuntimeError, match="differs by"):
        export_saved_model(model, size_px=_SIZE_PX, output_dir=tmp_path / "model", metadata={})
    assert not list(tmp_path.iterdir())
