"""A checkpoint of MoCo gives the same features as in PyTorch, every tensor is accounted for, and faults are named."""

import json
import pathlib
import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from seer_tf.errors import InputError
from seer_tf.models.backbones.released import convert
from seer_tf.networks.load import load_network
from tests.references import moco_checkpoint
from tests.references.moco_checkpoint import ResNet50

_PREFIX = "state_dict.module.encoder_q."


@pytest.fixture(scope="module")
def network() -> ResNet50:
    return moco_checkpoint.random_resnet50(mlp=True)


def written(content: dict[str, Any], folder: pathlib.Path) -> pathlib.Path:
    torch.save(content, folder / "moco.pth.tar")
    return folder / "moco.pth.tar"


@pytest.mark.parametrize("mlp", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_features_and_embeddings_equal_those_of_pytorch(mlp: bool, tmp_path: pathlib.Path) -> None:
    network = moco_checkpoint.random_resnet50(mlp=mlp)
    found = convert(written(moco_checkpoint.checkpoint(network), tmp_path))
    images = np.random.default_rng(0).normal(size=(2, 64, 48, 3)).astype(np.float32)
    features, embeddings = moco_checkpoint.outputs(network, images)
    ours = found.features(tf.constant(images), training=False)
    np.testing.assert_allclose(ours, features, rtol=1e-3, atol=1e-4 * np.abs(features).max())
    assert found.projection is not None
    np.testing.assert_allclose(found.projection(features), embeddings, rtol=1e-4, atol=1e-5 * np.abs(embeddings).max())
    assert (found.variant, found.layout, found.licence, found.title) == ("resnet50", "MoCo", "CC BY-NC 4.0", "resnet50")

    names = [f"{_PREFIX}{name}" for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    assert sorted(found.matched) == sorted(names)
    unused = set(found.unused)
    assert unused >= {"state_dict.module.queue", "state_dict.module.encoder_k.conv1.weight"}
    assert "optimizer.state.0.momentum_buffer" in unused and not unused & set(names)


def test_a_conversion_is_saved_and_opens(network: ResNet50, tmp_path: pathlib.Path) -> None:
    found = convert(written(moco_checkpoint.checkpoint(network), tmp_path))
    directory = tmp_path / "converted"
    directory.mkdir()
    found.save(directory)
    assert sorted(path.name for path in directory.iterdir()) == ["metadata.json", "model.keras", "projection.keras"]
    metadata = json.loads((directory / "metadata.json").read_text())
    assert (metadata["variant"], metadata["licence"]) == ("resnet50", "CC BY-NC 4.0")
    opened = load_network(directory)
    assert opened.backbone.licence == "CC BY-NC 4.0"
    for ours, theirs in zip(opened.backbone.variables, found.backbone.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _without(content: dict[str, Any], name: str) -> None:
    del content["state_dict"][f"module.encoder_q.{name}"]


def _doubled(content: dict[str, Any], name: str) -> None:
    tensor = content["state_dict"][f"module.encoder_q.{name}"]
    content["state_dict"][f"module.encoder_q.{name}"] = torch.cat([tensor, tensor])


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        (
            _without,
            "layer3.5.bn2.running_var",
            f"needs are missing: {_PREFIX}layer3.5.bn2.running_var",
        ),
        (_without, "fc.2.bias", f"are missing: {_PREFIX}fc.2.bias"),
        (_without, "layer4.2.conv2.weight", "its encoder fits no ResNet .*the known variants are resnet50, resnet101"),
        (_doubled, "layer1.0.bn1.bias", rf"another shape than in the network: {_PREFIX}layer1.0.bn1.bias is \(128,\)"),
    ],
)
def test_a_fault_gets_one_sentence(
    change: Any, name: str, sentence: str, network: ResNet50, tmp_path: pathlib.Path
) -> None:
    content = moco_checkpoint.checkpoint(network)
    change(content, name)
    with pytest.raises(InputError, match=re.sub(r"(?<!\\)\.(?!\*)", r"\\.", sentence)):
        convert(written(content, tmp_path))


def test_another_resnet_is_no_released_network(network: ResNet50, tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="there is no RegNetY in this file"):
        convert(written(dict(network.state_dict()), tmp_path))
