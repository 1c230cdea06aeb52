"""Converts a released checkpoint to Keras models: every variable is filled, and every tensor is accounted for.

Besides the trunk, a file from SEER holds the head from pretraining (projection and prototypes) or a classifier. The
head or the classifier becomes a separate model that takes the pooled features.
"""

import dataclasses
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras

from seer_tf.errors import InputError
from seer_tf.files import sealed_json
from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.key_layouts import LEAVES
from seer_tf.models.backbones.regnet.network import RegNetY
from seer_tf.models.backbones.regnet.stored_network import StoredNetwork, open_stored_network
from seer_tf.models.encoder import Encoder
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.progress import Progress

_NAMES_IN_A_SENTENCE = 8

Filling = list[tuple[keras.Variable, str]]
"""Variables, each with the name of the tensor that fills it."""


@dataclasses.dataclass(frozen=True, eq=False)
class ConvertedNetwork(Encoder):
    """The networks in a checkpoint, as Keras models in float32. Pooled features are [N, C] with the backbone's width C.

    Attributes:
        source: Name of the file.
        layout: Name of the layout that the tensor names follow.
        variant: A name of `regnet_design.VARIANTS`.
        backbone: Model from normalised images to feature maps.
        swav_head: Model from [N, C] to "embeddings" [N, D] and "scores" [N, K]; None if the file holds no head.
        classifier: Model from [N, C] to logits [N, classes]; None if the file holds no classifier.
        matched: Names of the tensors that fill a variable.
        unused: Names of the other tensors.
        mean: Mean of the red, green and blue channel, for images between 0 and 1.
        std: Standard deviation of these channels.
    """

    source: str
    layout: str
    variant: str
    backbone: RegNetY
    swav_head: keras.Model | None
    classifier: keras.Model | None
    matched: tuple[str, ...]
    unused: tuple[str, ...]
    mean: tuple[float, ...] = published.MEAN
    std: tuple[float, ...] = published.STD

    @property
    def release(self) -> published.PublishedModel | None:
        """The released network of this variant, the fine-tuned one if there is a classifier; None if not released."""
        return published.find(self.variant, fine_tuned=self.classifier is not None)

    def metadata(self) -> dict[str, Any]:
        """Returns the origin and the licence of the weights, as JSON types."""
        return {
            "variant": self.variant,
            "stem_stride": self.backbone.stem_stride,
            "converted_from": self.source,
            "names_of": self.layout,
            **published.licence_fields(published.LICENCE),
        }

    def save(self, directory: Path) -> None:
        """Writes the models, the licence notice, and metadata.json with the names of all tensors.

        The backbone is written to `model.keras`. The head and the classifier, if there are any, are written to
        `swav_head.keras` and `classifier.keras`.
        """
        for name, model in (("model", self.backbone), ("swav_head", self.swav_head), ("classifier", self.classifier)):
            if model is not None:
                _save(model, directory / f"{name}.keras")
        published.add_notice(directory, published.LICENCE)
        account = {**self.metadata(), "matched": self.matched, "unused": self.unused}
        (directory / "metadata.json").write_text(json.dumps(sealed_json.sealed(account), indent=2) + "\n")


def convert(path: str | os.PathLike[str]) -> ConvertedNetwork:
    """Returns the networks in a checkpoint whose tensors are named as in VISSL, Hugging Face or timm.

    Raises:
        InputError: The file cannot be read, holds no RegNetY of a known variant, or lacks a tensor.
    """
    stored = open_stored_network(Path(path))
    variant = stored.variant()
    backbone = RegNetY(variant, licence=published.LICENCE, dtype="float32")
    width = backbone.output_shape[-1]
    head, head_filling = swav_head(stored, width)
    classifier, classifier_filling = _classifier(stored, width)
    filling = backbone_filling(stored, backbone) + head_filling + classifier_filling
    fill(stored, filling)
    matched = {name: None for _, name in filling}  # in order
    return ConvertedNetwork(
        source=stored.path.name,
        layout=stored.layout.name,
        variant=variant,
        backbone=backbone,
        swav_head=head,
        classifier=classifier,
        matched=tuple(matched),
        unused=tuple(name for name in stored.tensors if name not in matched),
    )


def backbone_filling(stored: StoredNetwork, backbone: RegNetY) -> Filling:
    """Returns every variable of the backbone with the name of its tensor."""
    return [(variable, stored.name(variable.path)) for variable in backbone.variables]


def _layer_filling(layer: keras.layers.Layer, module: str) -> Filling:
    return [(variable, f"{module}.{LEAVES[variable.name]}") for variable in layer.variables]


def swav_head(stored: StoredNetwork, width: int) -> tuple[keras.Model | None, Filling]:
    """Returns the head with fresh weights, and its variables with the names of their tensors."""
    found = stored.head()
    if found is None:
        return None, []
    *hidden_dims, embedding_dim = (stored.shape(f"{linear}.weight")[0] for linear in found.linears)
    num_prototypes = stored.shape(f"{found.prototypes}.weight")[0]
    head = SwavHead(hidden_dims, embedding_dim, num_prototypes, batch_norm=bool(found.norms), dtype="float32")
    features = keras.Input((width,), name="features", dtype="float32")
    model = keras.Model(features, dict(zip(("embeddings", "scores"), head(features), strict=True)), name="swav_head")
    filling = [(head.prototypes, f"{found.prototypes}.weight")]
    for layer, module in zip(head.linears + head.norms, found.linears + found.norms, strict=True):
        filling += _layer_filling(layer, module)
    return model, filling


def _classifier(stored: StoredNetwork, width: int) -> tuple[keras.Model | None, Filling]:
    """Returns the classifier with fresh weights, and its variables with the names of their tensors."""
    module = stored.classifier()
    if module is None:
        return None, []
    linear = keras.layers.Dense(stored.shape(f"{module}.weight")[0], name="logits", dtype="float32")
    features = keras.Input((width,), name="features", dtype="float32")
    return keras.Model(features, linear(features), name="classifier"), _layer_filling(linear, module)


def fill(stored: StoredNetwork, filling: Filling) -> None:
    """Gives each variable the values of its tensor.

    Raises:
        InputError: A tensor is missing or has the wrong shape. No variable is changed in this case.
    """
    missing = [name for _, name in filling if name not in stored.tensors]
    if missing:
        raise InputError(
            f"{stored.path}: {len(missing)} of {len(filling)} tensors that the network needs are missing: "
            f"{_enumerated(missing)}; give a complete checkpoint of a RegNetY."
        )
    wrong = [name for variable, name in filling if not _fits(stored.shape(name), variable)]
    if wrong:
        shapes = [f"{name} is {stored.shape(name)}" for name in wrong]
        raise InputError(f"{stored.path}: these tensors have another shape than in a RegNetY: {_enumerated(shapes)}.")
    with Progress(len(filling), "tensor", f"reading {stored.path}") as progress:
        for variable, name in filling:
            variable.assign(stored.tensors[name].read().transpose(torch_axes(variable)))
            progress.advance()


def torch_axes(variable: keras.Variable) -> tuple[int, ...]:
    """Returns PyTorch's axis for each axis of the variable. PyTorch's kernels are (out, in, h, w) or (out, in)."""
    if len(variable.shape) == 4:
        return (2, 3, 1, 0)
    return (1, 0) if variable.name == "kernel" else tuple(range(len(variable.shape)))


def _fits(shape: tuple[int, ...], variable: keras.Variable) -> bool:
    axes = torch_axes(variable)
    return len(shape) == len(axes) and tuple(shape[axis] for axis in axes) == tuple(variable.shape)


def _enumerated(things: list[str]) -> str:
    more = len(things) - _NAMES_IN_A_SENTENCE
    return ", ".join(things[:_NAMES_IN_A_SENTENCE]) + (f" and {more} more" if more > 0 else "")


def _save(model: keras.Model, path: Path) -> None:
    """Writes a `.keras` file from parts on disk. Keras itself would assemble the file in memory if it fits."""
    with tempfile.TemporaryDirectory(dir=path.parent) as parts, zipfile.ZipFile(path, "w") as archive:
        model.save(parts, zipped=False)
        for part in ("metadata.json", "config.json", "model.weights.h5"):
            archive.write(Path(parts, part), part)
