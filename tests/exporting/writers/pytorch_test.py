"""Weights for PyTorch: transformers loads them and gives the same results, and the converter restores every bit."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from seer_tf.api.exporting import Export
from seer_tf.errors import InputError
from seer_tf.exporting.exporter import export
from seer_tf.exporting.writers.pytorch import write_hugging_face, write_timm
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet.convert import convert
from seer_tf.networks.network import Network
from tests.exporting.tiny_network import CLASS_NAMES, folder_of_images, tiny_network
from tests.references import released_checkpoints

_TOLERANCE = 1e-4
_IMAGES = np.random.default_rng(3).normal(size=(2, 64, 48, 3)).astype(np.float32)


def _network(part: str, backbone: RegNetY | None = None) -> Network:
    """Returns a part of a small network with random weights and statistics."""
    backbone = backbone or RegNetY("90MF", dtype="float32")
    generator = np.random.default_rng(5)
    for variable in backbone.variables:
        variable.assign(variable + generator.uniform(0.01, 0.1, variable.shape))
    classifier = keras.layers.Dense(len(CLASS_NAMES), bias_initializer="uniform", name="logits", dtype="float32")
    classifier.build((None, backbone.output_shape[-1]))
    return dataclasses.replace(tiny_network(), backbone=backbone, classifier=classifier, head=None).selected(part)


@pytest.fixture(scope="module")
def network() -> Network:
    return _network("classifier")


@pytest.fixture(scope="module")
def hugging_face(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hugging face") / "directory"
    write_hugging_face(network, directory)
    return directory


def _error(found: torch.Tensor, expected: object) -> float:
    theirs, ours = found.detach().numpy(), np.asarray(expected)
    assert theirs.shape == ours.shape
    return float(np.abs(theirs - ours).max() / np.abs(ours).max())


def test_transformers_gives_the_same_results(network: Network, hugging_face: Path) -> None:
    images = torch.from_numpy(_IMAGES.transpose(0, 3, 1, 2).copy())
    features = network.features(_IMAGES, training=False)
    backbone = transformers.RegNetModel.from_pretrained(hugging_face).eval()
    assert _error(backbone(images).pooler_output[..., 0, 0], features) < _TOLERANCE
    whole = transformers.RegNetForImageClassification.from_pretrained(hugging_face).eval()
    assert network.classifier is not None
    assert _error(whole(images).logits, network.classifier(features)) < _TOLERANCE
    assert tuple(whole.config.id2label[number] for number in range(len(CLASS_NAMES))) == CLASS_NAMES


def test_pytorch_loads_exactly_these_tensors(network: Network, hugging_face: Path, tmp_path: Path) -> None:
    """The network has a classifier or none. timm's names follow from transformers' names by timm's own rules."""
    state = transformers.RegNetForImageClassification.from_pretrained(hugging_face).state_dict()
    _check_same(hugging_face / "model.safetensors", state)
    write_hugging_face(_network("backbone"), tmp_path / "backbone")
    trunk = transformers.RegNetModel.from_pretrained(tmp_path / "backbone").state_dict()
    _check_same(tmp_path / "backbone" / "model.safetensors", trunk)
    write_timm(network, tmp_path / "timm.safetensors")
    linear = {f"head.fc.{leaf}": state[f"classifier.1.{leaf}"] for leaf in ("weight", "bias")}
    trunk = transformers.RegNetModel.from_pretrained(hugging_face).state_dict()
    _check_same(tmp_path / "timm.safetensors", released_checkpoints.timm(trunk) | linear)


def _check_same(file: Path, state: released_checkpoints.State) -> None:
    found = safetensors.numpy.load_file(file)
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_the_converter_restores_every_bit(network: Network, hugging_face: Path, tmp_path: Path) -> None:
    write_timm(network, tmp_path / "timm.safetensors")
    for file in (hugging_face, tmp_path / "timm.safetensors"):
        converted = convert(file)
        assert converted.variant == "90MF" and converted.classifier is not None and network.classifier is not None
        pairs = zip(
            converted.backbone.variables + converted.classifier.variables,
            network.backbone.variables + network.classifier.variables,
            strict=True,
        )
        for found, expected in pairs:
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_a_file_with_another_number_is_refused(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = safetensors.numpy.save_file
    monkeypatch.setattr(
        safetensors.numpy,
        "save_file",
        lambda tensors, *arguments, **others: save(
            {**tensors, "head.fc.bias": np.nextafter(tensors["head.fc.bias"], 1)}, *arguments, **others
        ),
    )
    with pytest.raises(InputError, match=r"head\.fc\.bias is not as it was written"):
        write_timm(network, tmp_path / "timm.safetensors")


def test_an_export_says_which_program_verified_it(network: Network, tmp_path: Path) -> None:
    source = folder_of_images(tmp_path, num_images=2)
    files = export(network, tmp_path / "model", source=source, formats=["hugging_face"])
    (line,) = Export(str(tmp_path / "model"), files).lines()
    assert "in a fresh process with the converter of seer_tf (PyTorch was not run)" in line
    readme = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert 'transformers.RegNetForImageClassification.from_pretrained("DIR/hugging_face")' in readme
    config = json.loads((tmp_path / "model" / "hugging_face" / "config.json").read_text("utf-8"))
    assert (config["hidden_sizes"], config["groups_width"]) == ([32, 64, 128, 256], 16)


def test_networks_that_timm_and_transformers_lack_are_refused(network: Network, tmp_path: Path) -> None:
    deep = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(len(CLASS_NAMES))])
    deep.build((None, 256))
    foreign = RegNetY("90MF", stem_stride=1, dtype="float32")
    for refused, sentence in (
        (_network("backbone", foreign), "the stem of this network has stride 1"),
        (tiny_network().selected("backbone"), "no named variant of RegNetY"),
        (dataclasses.replace(network, backbone=keras.Sequential()), "timm has no Sequential, only a RegNetY"),
        (dataclasses.replace(network, head=tiny_network().head), "timm has no head from pretraining"),
        (dataclasses.replace(network, classifier=deep), "timm's classifier is one linear layer"),
    ):
        with pytest.raises(InputError, match=sentence):
            write_timm(refused, tmp_path / "file")
    assert not list(tmp_path.iterdir())
