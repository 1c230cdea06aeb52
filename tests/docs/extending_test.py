"""The page on extending: every block runs as written, and its part works through the public functions."""

import contextlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources import registry as sources
from seer_tf.data.sources.builtin import render_image
from seer_tf.errors import InputError
from seer_tf.evaluation.evaluations import registry as evaluations
from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.request import FeatureRequest
from seer_tf.exporting import registry as formats
from seer_tf.models.backbones import registry as backbones
from seer_tf.networks.load import load_network
from seer_tf.pretraining import registry as methods
from seer_tf.pretraining.planning import plan
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders
from tests.exporting.tiny_network import tiny_network
from tests.places import DOCS

_PAGE = (DOCS / "guides" / "extending.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory. The registries forget the page's parts after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backbones, "_FAMILIES", backbones._FAMILIES.copy())
    tables = (methods._METHODS, sources._KINDS, evaluations.EVALUATIONS, formats.FORMATS)
    with contextlib.ExitStack() as stack:
        for table in (*tables, keras.saving.get_custom_objects()):
            stack.enter_context(mock.patch.dict(table))
        yield


def _run(heading: str) -> dict[str, Any]:
    """Runs the blocks below a heading and returns the names that they define.

    A block that starts with a file name is written to that file.
    """
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", _PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "my_parts"}
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        if file := re.match(r"# (\w+\.py)\n", block):
            Path(file[1]).write_text(block, "utf-8")
        else:
            exec(compile(block, heading, "exec"), names)
    return names


def test_the_page_has_six_blocks():
    assert _PAGE.count("```python") == 6


@pytest.mark.slow
def test_a_backbone_trains_and_its_cost_agrees_with_its_entry():
    write_class_folders(Path("IMAGES"), "train", range(24))
    names = _run("A backbone")
    assert names["result"].step == 2
    network = load_network("RUN")
    assert isinstance(network.backbone, names["Plain"])
    sizes = [int(np.prod(weight.shape)) for weight in network.backbone.trainable_variables]
    cost = backbones.backbone_cost(names["config"].backbone)
    assert sizes == cost.weight_sizes and network.backbone.output_shape[-1] == cost.feature_width
    assert plan(names["config"], 1).backbone_parameters == sum(sizes)
    maps = network.backbone(np.zeros([1, 33, 33, 3], np.float32))
    assert int(np.prod(maps.shape)) == cost.blocks(33)[-1].outer
    network.backbone.save("backbone.keras")
    np.testing.assert_array_equal(load_network("backbone.keras").backbone(np.ones([1, 32, 32, 3])), _of_ones(network))


def _of_ones(network: Any) -> tf.Tensor:
    return network.backbone(np.ones([1, 32, 32, 3]))


@pytest.mark.slow
def test_a_method_trains_in_the_unchanged_engine():
    write_class_folders(Path("IMAGES"), "train", range(24))
    names = _run("A method")
    assert names["result"].step == 2
    directory = RunDirectory("RUN")
    assert directory.kind() == "pretraining" and directory.method() == "uniformity"
    assert directory.read_config_of(names["UniformityConfig"]).uniformity == names["UniformitySection"]()
    trained, initial = load_network("RUN").backbone, names["initial_model"](names["config"]).backbone
    assert any(np.any(one != other) for one, other in zip(trained.get_weights(), initial.get_weights(), strict=True))
    with pytest.raises(InputError, match="a run of the method uniformity, and one of swav is needed"):
        directory.read_config()
    with pytest.raises(InputError, match="there is no field of uniformity 'wait'"):
        configs.override(names["config"], ["uniformity.wait=2"])


def test_a_source_is_opened_by_its_spec():
    images = {f"{number}.jpg": render_image("train", number)[0] for number in range(3)}
    with zipfile.ZipFile("IMAGES.zip", "w") as archive:
        for name, encoded in {**images, "notes.txt": b"hello"}.items():
            archive.writestr(name, encoded)
    source = _run("A data source")["source"]
    assert [source.read(index) for index in range(source.num_images)] == list(images.values())
    assert sources.open_source("IMAGES.zip").ids == list(images)
    assert sources.absolute("zip:IMAGES.zip") == f"zip:{Path('IMAGES.zip').resolve()}"
    assert "zip:FILE" in sources.grammar()
    with pytest.raises(InputError, match="zip:no.zip: there is no such file"):
        sources.check_source("zip:no.zip")


def test_an_evaluation_gives_a_number():
    write_class_folders(Path("TRAIN"), "train", range(80))
    write_class_folders(Path("TEST"), "train", range(80, 120))
    names = _run("An evaluation")
    result = names["result"]
    assert (result.evaluation, result.metric, result.num_train_images) == ("nearest_mean", "top-1", 80)
    assert result.value == _by_nearest_mean(*map(_histograms, ("TRAIN", "TEST"))) and 0.125 < result.value < 1


def _histograms(folder: str) -> FeatureSet:
    spec = f"folder:{folder}"
    return FeatureRequest(pixels="histogram").extractor().extract(sources.open_source(spec), spec)


def _by_nearest_mean(train: FeatureSet, test: FeatureSet) -> float:
    rows, queries = train.rows["histogram"][:], test.rows["histogram"][:]
    labels, expected = np.array(train.labels), np.array(test.labels)
    means = [rows[labels == label].mean(axis=0) for label in range(labels.max() + 1)]
    nearest = np.array([np.argmin([np.linalg.norm(one - mean) for mean in means]) for one in queries])
    return float((nearest == expected).mean())


@pytest.mark.slow
def test_a_format_writes_and_verifies_a_file():
    write_class_folders(Path("IMAGES"), "train", range(8))
    tiny_network().backbone.save("NETWORK.keras")
    names = _run("An export format")
    (file,) = names["files"]
    assert (file.format, file.file) == ("graph", "model.pb") and 0 <= file.largest_difference <= 1e-4
    assert Path("MODEL", "model.pb").stat().st_size == file.num_bytes and Path("MODEL", "README.md").exists()


@pytest.mark.parametrize(
    "again",
    [
        lambda: backbones.register(backbones._FAMILIES[0]),
        lambda: methods.register(methods.find_method(Config.method)),
        lambda: sources.register(sources._KINDS["folder"]),
        lambda: evaluations.register("knn", evaluations.EVALUATIONS["knn"]),
        lambda: formats.register("keras", formats.FORMATS["keras"]),
    ],
)
def test_a_name_is_registered_once(again):
    with pytest.raises(ValueError, match="already"):
        again()
