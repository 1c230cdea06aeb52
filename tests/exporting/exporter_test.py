"""Export: the files load elsewhere and give the same results, a card describes them, and a failure leaves nothing."""

import dataclasses
import importlib.util
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.folder import FolderSource
from seer_tf.errors import InputError
from seer_tf.exporting import card, fresh_process, registry
from seer_tf.exporting.exporter import export
from seer_tf.exporting.registry import FORMATS
from seer_tf.exporting.verification import Reference
from seer_tf.models import convolution
from seer_tf.models.backbones.regnet import published
from seer_tf.models.convolution import ChoiceAtLoading
from seer_tf.networks.network import Network
from tests.exporting.tiny_network import (
    CLASS_NAMES,
    NUM_FEATURES,
    SIZE_PX,
    folder_of_images,
    tiny_network,
    under_seers_licence,
)

_METRICS = {
    "evaluation": "knn",
    "protocol": "k = 20",
    "metric": "top-1",
    "value": 0.5,
    "interval": [0.45, 0.5512],
    "model": "RUN",
    "train_data": None,
    "test_data": "folder:B",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """JPEG files with different sizes and orientations, and one file that does not decode."""
    return folder_of_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def network() -> Network:
    """A network with prototypes that always resizes, as a released network does."""
    return dataclasses.replace(tiny_network().selected("prototypes"), transform=Transform(SIZE_PX, 40))


@pytest.fixture(scope="module")
def exported(network, source, tmp_path_factory):
    """The directory with a SavedModel, an ONNX file and a calibrated LiteRT file, and the result of each check."""
    directory = tmp_path_factory.mktemp("export") / "with a space" / "model"
    network = dataclasses.replace(network, backbone=under_seers_licence(network.backbone))
    kinds = ("saved_model", "onnx", "litert_int8")
    return directory, export(network, directory, source=source, formats=kinds, metrics=[_METRICS])


def test_every_file_is_within_the_tolerance_of_its_format(exported):
    """A fresh process measures the difference, also on images with an EXIF orientation.

    An int8 file differs from the float32 network.
    """
    directory, files = exported
    assert [file.format for file in files] == ["saved_model", "onnx", "litert_int8"]
    for file in files:
        assert 0 <= file.largest_difference <= file.tolerance == FORMATS[file.format].tolerance
        assert (directory / file.file).exists() and file.num_bytes > 1000
    assert files[2].largest_difference > 1e-4
    assert files[2].num_bytes < 0.6 * files[1].num_bytes
    assert not list(directory.parent.glob(".*"))


def test_the_card_describes_the_export(exported):
    """The card has a file for programs and a file for people."""
    directory, files = exported
    metadata = json.loads((directory / "metadata.json").read_text("utf-8"))
    assert metadata["variant"] == "of two stages" and metadata["feature_dim"] == NUM_FEATURES
    assert metadata["outputs"]["cluster"]["dtype"] == "int32" and metadata["metrics"] == [_METRICS]
    preprocessing = metadata["preprocessing"]
    assert (preprocessing["resize_shorter_side_px"], preprocessing["center_crop_px"]) == (40, SIZE_PX)
    assert "unchanged_when" not in preprocessing  # this network always resizes
    own = dataclasses.replace(tiny_network(), transform=Transform(SIZE_PX, 40, "bicubic").with_size(64))
    assert card.preprocessing(own)["unchanged_when"] == "the image already is 64 x 64"
    assert card.preprocessing(own)["interpolation"].startswith("bicubic")
    assert preprocessing["mean"] == [0.485, 0.456, 0.406] and "JPEG" in preprocessing["exif_orientation"]
    assert metadata["versions"]["tensorflow"] == tf.__version__
    assert metadata["files"] == [dataclasses.asdict(file) for file in files]
    assert metadata["compared_on_num_images"] == 8
    readme = (directory / "README.md").read_text("utf-8")
    assert f"| litert_int8 | model_int8.tflite | {files[2].num_bytes / 1e6:.1f} |" in readme
    assert (
        "| knn | k = 20 | top-1 | 50.00 | 45.00 to 55.12 | RUN | nothing | folder:B |" in readme and "[B, 32]" in readme
    )
    assert (directory / "SEER_LICENCE.txt").read_text("utf-8") == published.LICENCE_NOTICE


def test_the_onnx_file_has_a_free_batch(exported):
    """The free dimension has the name "batch"."""
    directory, _ = exported
    model = onnx.load(directory / "model.onnx")
    assert [tensor.name for tensor in model.graph.input] == ["images"]
    sides = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["batch", SIZE_PX, SIZE_PX, 3]


def test_an_existing_output_stays_as_it_is(network, source, exported):
    """The test fails if the output is overwritten or merged."""
    directory, _ = exported
    before = (directory / "metadata.json").stat().st_mtime_ns
    with pytest.raises(InputError, match="exists already"):
        export(network, directory, source=source)
    assert (directory / "metadata.json").stat().st_mtime_ns == before


def test_a_fresh_process_finds_a_difference(network, source, exported):
    """The exported file is compared with the network, and with a network whose first kernel is one percent larger."""
    directory, _ = exported
    images = [(source.read(0), np.zeros([40, 40, 3], np.uint8))]
    moved = tiny_network().selected("prototypes")
    kernel = moved.backbone.trainable_variables[0]
    kernel.assign(1.01 * kernel)
    onnx_format = FORMATS["onnx"]
    assert Reference(network, images).difference(onnx_format, directory / "model.onnx") < onnx_format.tolerance
    assert Reference(moved, images).difference(onnx_format, directory / "model.onnx") > 10 * onnx_format.tolerance


@pytest.mark.parametrize("difference", [2e-5, float("nan"), float("inf")])
def test_a_file_that_differs_after_loading_is_not_kept(network, source, tmp_path, monkeypatch, difference):
    """The file is kept neither under its name nor under a temporary name."""
    monkeypatch.setattr(keras.Model, "save", lambda self, path: Path(path).touch())
    monkeypatch.setattr(Reference, "difference", lambda *arguments: difference)
    with pytest.raises(InputError, match="differs from the network"):
        export(network, tmp_path / "model", source=source, formats=["keras"])
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_run_is_not_kept(network, source, tmp_path, monkeypatch):
    """The error contains the output of the fresh process."""
    monkeypatch.setitem(
        registry.FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], write=lambda network, path: path.touch())
    )
    with pytest.raises(RuntimeError, match="model.onnx fails in a fresh process"):
        export(network, tmp_path / "model", source=source, formats=["onnx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_saved_model_that_needs_one_dnn_is_not_kept(network, source, tmp_path, monkeypatch):
    """The SavedModel runs in this process, but not in a TensorFlow without oneDNN."""
    monkeypatch.setattr(ChoiceAtLoading, "applied_to", lambda self, function: convolution.as_one_operation(function))
    with pytest.raises(RuntimeError, match="grouped convolutions"):
        export(network, tmp_path / "model", source=source)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("part", ["backbone", "classifier"])
def test_a_keras_file_runs_with_and_without_one_dnn(part, source, tmp_path):
    """Each process imports Keras and TensorFlow first, so seer_tf is too late to switch oneDNN on."""
    (file,) = export(tiny_network().selected(part), tmp_path / "model", source=source, formats=["keras"])
    assert file.largest_difference <= 1e-5 and FORMATS["keras"].user_variables == fresh_process.EVERY_ONE_DNN


@pytest.mark.parametrize("name", ["onnx", "litert_float16"])
def test_a_missing_extra_gets_one_sentence(network, source, tmp_path, monkeypatch, name):
    """The error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(InputError, match=rf"pip install 'seer_tf\[{FORMATS[name].extra}\]'"):
        export(network, tmp_path / "model", source=source, formats=[name])


def test_exports_that_are_not_possible_are_refused(network, source, tmp_path):
    """Unknown formats, networks that are too large for a format, and images that do not decode are refused."""
    with pytest.raises(InputError, match="no format is named"):
        export(network, tmp_path / "model", source=source, formats=[])
    broken = tiny_network().selected("backbone")
    broken.backbone.variables[3].assign(np.nan * broken.backbone.variables[3])
    with pytest.raises(InputError, match=r"weights are not finite \(\S+\); give an earlier checkpoint"):
        export(broken, tmp_path / "model", source=source)
    with pytest.raises(InputError, match="did you mean 'litert_int8'"):
        export(network, tmp_path / "model", source=source, formats=["litert_int16"])
    large = dataclasses.replace(FORMATS["onnx"], max_bytes=1000)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(InputError, match="such a file holds"):
        patch.setitem(registry.FORMATS, "onnx", large)
        export(network, tmp_path / "model", source=source, formats=["onnx"])
    assert not list(tmp_path.iterdir())
    (tmp_path / "cut.jpg").write_bytes(source.read(0)[:300])
    with pytest.raises(InputError, match="can be decoded"):
        export(network, tmp_path / "model", source=FolderSource(str(tmp_path), ["cut.jpg"]))
    assert [path.name for path in tmp_path.iterdir()] == ["cut.jpg"]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["backbone", "head", "prototypes", "classifier"])
def test_every_part_is_exported_in_every_format(part, source, tmp_path):
    """Each file of a classifier holds the class names."""
    formats = [name for name in FORMATS if name not in ("timm", "hugging_face")]  # these formats need a named variant
    files = export(tiny_network().selected(part), tmp_path / "model", source=source, formats=formats)
    assert len(files) == len(formats)
    if part != "classifier":
        return
    with zipfile.ZipFile(tmp_path / "model" / "model_float16.tflite") as archive:
        assert tuple(archive.read("labels.txt").decode().splitlines()) == CLASS_NAMES
    properties = {entry.key: entry.value for entry in onnx.load(tmp_path / "model" / "model.onnx").metadata_props}
    assert tuple(json.loads(properties["class_names"])) == CLASS_NAMES
    model = keras.saving.load_model(tmp_path / "model" / "model.keras", compile=False)
    assert model.get_layer("probabilities").class_names == CLASS_NAMES
