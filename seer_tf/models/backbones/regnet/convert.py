"""Converts a released checkpoint to Keras models: every variable is filled, and every tensor is accounted for.

Besides the trunk, a file from SEER holds the head from pretraining (projection and prototypes) or a classifier. The
head or the classifier becomes a separate model that takes the pooled features.
"""

import os
from pathlib import Path

import keras

from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.key_layouts import TORCHVISION, VISSL
from seer_tf.models.backbones.regnet.network import RegNetY
from seer_tf.models.backbones.regnet.stored_network import StoredNetwork, open_stored_network
from seer_tf.models.conversion import ConvertedNetwork
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.models.stored_tensors import Filling, fill, layer_filling


def convert(path: str | os.PathLike[str]) -> ConvertedNetwork:
    """Returns the networks in a checkpoint whose tensors are named as in VISSL, Hugging Face, timm or torchvision.

    Raises:
        InputError: The file cannot be read, holds no RegNetY of a known variant, or lacks a tensor.
    """
    stored = open_stored_network(Path(path))
    variant = stored.variant()
    backbone = RegNetY(variant, licence=_licence(stored, variant), dtype="float32")
    width = backbone.output_shape[-1]
    head, head_filling = swav_head(stored, width)
    classifier, classifier_filling = _classifier(stored, width)
    filling = backbone_filling(stored, backbone) + head_filling + classifier_filling
    matched, unused = fill(stored, filling)
    return ConvertedNetwork(
        source=stored.path.name,
        layout=stored.layout.name,
        variant=variant,
        backbone=backbone,
        swav_head=head,
        classifier=classifier,
        matched=matched,
        unused=unused,
    )


def _licence(stored: StoredNetwork, variant: str) -> str:
    """Returns SEER's licence for a file that may be SEER's: by VISSL's names, or by a variant that was released.

    SEER was never released with torchvision's names.
    """
    may_be = stored.layout is VISSL or (stored.layout is not TORCHVISION and published.is_released(variant))
    return published.LICENCE if may_be else ""


def backbone_filling(stored: StoredNetwork, backbone: RegNetY) -> Filling:
    """Returns every variable of the backbone with the name of its tensor."""
    return [(variable, stored.name(variable.path)) for variable in backbone.variables]


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
        filling += layer_filling(layer, module)
    return model, filling


def _classifier(stored: StoredNetwork, width: int) -> tuple[keras.Model | None, Filling]:
    """Returns the classifier with fresh weights, and its variables with the names of their tensors."""
    module = stored.classifier()
    if module is None:
        return None, []
    linear = keras.layers.Dense(stored.shape(f"{module}.weight")[0], name="logits", dtype="float32")
    features = keras.Input((width,), name="features", dtype="float32")
    return keras.Model(features, linear(features), name="classifier"), layer_filling(linear, module)
