"""Converts a checkpoint of MoCo (facebookresearch/moco) to a ResNet and its projection.

The code there trains torchvision's ResNet, whose last layer is the projection: one linear layer in MoCo v1, and two
with a ReLU between them in v2 (moco/builder.py). The network that learned is `encoder_q`. A checkpoint of a run also
holds the key encoder and the queue, which no use of the features needs; they count as unused.
"""

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

import keras

from seer_tf.errors import InputError
from seer_tf.models.backbones.resnet.design import VARIANTS
from seer_tf.models.backbones.resnet.network import ResNet
from seer_tf.models.conversion import ConvertedNetwork
from seer_tf.models.heads.projection import Projection
from seer_tf.models.key_layout import KeyLayout
from seer_tf.models.sharded_checkpoint import read_checkpoint
from seer_tf.models.stored_tensors import Filling, StoredTensors, fill, layer_filling

#: The licence in README.md of facebookresearch/moco.
LICENCE = "CC BY-NC 4.0"
_ENCODER = "state_dict.module.encoder_q."
_LAYERS = {"shortcut": "downsample.0", "shortcut_bn": "downsample.1"} | {
    f"{layer}{bn}": f"{'bn' if bn else 'conv'}{number}" for number, layer in enumerate("abc", 1) for bn in ("", "_bn")
}
_TORCHVISION = KeyLayout(
    "MoCo",
    trunk="",
    stem={"conv": "conv1", "bn": "bn1"},
    block=lambda stage, block: f"layer{stage}.{block - 1}",
    layers=_LAYERS,
    classifier="fc",
)


def is_moco(names: Iterable[str]) -> bool:
    """Returns whether these are the names of tensors in a checkpoint of MoCo."""
    return any(name.startswith(_ENCODER) for name in names)


def convert_moco(path: str | os.PathLike[str]) -> ConvertedNetwork:
    """Returns the query encoder of a checkpoint: the backbone, and the projection if the file holds one.

    Raises:
        InputError: The file cannot be read, holds no ResNet of a known variant, or lacks a tensor.
    """
    stored = StoredTensors(Path(path), read_checkpoint(Path(path)))
    variant = _variant(stored)
    backbone = ResNet(variant, licence=LICENCE, dtype="float32")
    projection, of_projection = _projection(stored, backbone.output_shape[-1])
    filling = [(variable, _ENCODER + _TORCHVISION.key(variable.path)) for variable in backbone.variables]
    filling += of_projection
    matched, unused = fill(stored, filling)
    return ConvertedNetwork(
        source=stored.path.name,
        layout=_TORCHVISION.name,
        variant=variant,
        backbone=backbone,
        swav_head=None,
        classifier=None,
        projection=projection,
        matched=matched,
        unused=unused,
    )


def _variant(stored: StoredTensors) -> str:
    """Returns the variant with as many blocks, of as many channels in the 3 x 3 convolutions, as the file has."""
    found = tuple(_blocks(stored, stage) for stage in range(1, 5))
    for name, design in VARIANTS.items():
        of_variant = ((stage.depth, stage.inner_width, stage.inner_width // stage.groups) for stage in design.stages())
        if found == tuple(of_variant):
            return name
    raise InputError(
        f"{stored.path}: its encoder fits no ResNet (depth, width and group width of its stages: {found}); the known "
        f"variants are {', '.join(VARIANTS)}."
    )


def _blocks(stored: StoredTensors, stage: int) -> tuple[int, ...]:
    """Returns the depth of a stage, and output and input channels of its first 3 x 3 convolution."""
    names = (f"{_ENCODER}layer{stage}.{block}.conv2.weight" for block in itertools.count())
    shapes = list(itertools.takewhile(bool, map(stored.shape, names)))
    return (len(shapes), *(shapes[0][:2] if shapes else ()))


def _projection(stored: StoredTensors, width: int) -> tuple[keras.Model | None, Filling]:
    """Returns the projection with fresh weights, and its variables with the names of their tensors."""
    pattern = re.compile(re.escape(_ENCODER) + r"fc(?:\.\d+)?\.weight")
    modules = sorted(name.removesuffix(".weight") for name in stored.tensors if pattern.fullmatch(name))
    if not modules:
        return None, []
    *hidden_dims, embedding_dim = (stored.shape(f"{module}.weight")[0] for module in modules)
    head = Projection(hidden_dims, embedding_dim, batch_norm=False, dtype="float32")
    features = keras.Input((width,), name="features", dtype="float32")
    model = keras.Model(features, head(features), name="projection")
    filling = [
        each for layer, module in zip(head.linears, modules, strict=True) for each in layer_filling(layer, module)
    ]
    return model, filling
