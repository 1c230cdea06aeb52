"""The page on PyTorch: blocks for transformers agree with the Keras backbone, and all other blocks are valid Python."""

import ast
import dataclasses
import re
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from seer_tf.exporting.writers.pytorch import write_hugging_face
from seer_tf.models import RegNetY
from seer_tf.networks.network import Network
from tests.exporting.tiny_network import SIZE_PX, tiny_network
from tests.places import DOCS

_BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "guides" / "pytorch.md").read_text("utf-8"), re.DOTALL)
_NOT_INSTALLED = ("torchvision", "detectron2")


@pytest.fixture(scope="module")
def network() -> Network:
    """A network with the smallest named variant and no heads."""
    return dataclasses.replace(tiny_network(), backbone=RegNetY("90MF", dtype="float32"), head=None, classifier=None)


@pytest.fixture(scope="module")
def names(network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that the blocks for transformers define."""
    directory = tmp_path_factory.mktemp("model")
    write_hugging_face(network, directory / "hugging_face")
    crops = np.random.default_rng(0).normal(size=[4, SIZE_PX, SIZE_PX, 3]).astype(np.float32)
    names: dict[str, Any] = {"crops": crops, "directory": directory}
    for block in _BLOCKS:
        if not any(package in block for package in _NOT_INSTALLED):
            exec(block.replace('"MODEL/', f'"{directory}/'), names)
    return names


def test_transformers_gives_the_features_and_five_stages(network: Network, names: dict[str, Any]) -> None:
    np.testing.assert_allclose(names["pooled"], network.features(names["crops"]), rtol=1e-3, atol=1e-4)
    assert [stage.shape[-1] for stage in names["stages"]] == [SIZE_PX // 2**number for number in range(1, 6)]


def test_the_stages_equal_those_of_the_backbone(network: Network, names: dict[str, Any]) -> None:
    with torch.no_grad():
        maps = names["bottom_up"].eval()(names["squares"])
    pyramid = tf.keras.Model(network.backbone.input, network.backbone.pyramid_outputs)(names["crops"], training=False)
    assert list(maps) == ["s1", "s2", "s3", "s4"]
    for number, (found, width) in enumerate(zip(maps.values(), names["bottom_up"].widths, strict=True), start=2):
        assert found.shape[1] == width
        np.testing.assert_allclose(found.permute(0, 2, 3, 1), pyramid[f"P{number}"], rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:CUDA initialization")
def test_mask_rcnn_of_torchvision_learns_and_detects_on_the_stages(names: dict[str, Any]) -> None:
    pytest.importorskip("torchvision", reason="script/test installs no torchvision")
    (block,) = (block for block in _BLOCKS if "torchvision" in block)
    torch.manual_seed(0)
    exec(block.replace('"MODEL/', f'"{names["directory"]}/'), names)
    detector = names["detector"]
    detector.transform.min_size, detector.transform.max_size = (64,), 96
    images = [torch.rand(3, 64, 96), torch.rand(3, 64, 64)]
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, 8:40, 8:40] = 1
    target = {"boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0]]), "labels": torch.tensor([7]), "masks": masks}
    losses = detector.train()(images[1:] * 2, [target, target])
    assert {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"} == set(losses)
    sum(losses.values()).backward()
    gradients = [weight.grad for weight in detector.backbone.stages.network.embedder.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() and grad.abs().sum() > 0 for grad in gradients)
    with torch.no_grad():
        found = detector.eval()(images)
    assert [set(one) for one in found] == [{"boxes", "labels", "scores", "masks"}] * 2
    assert found[0]["masks"].shape[2:] == (64, 96)


def test_the_blocks_for_packages_that_are_not_installed_are_valid_python() -> None:
    blocks = [block for block in _BLOCKS if any(package in block for package in _NOT_INSTALLED)]
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)
