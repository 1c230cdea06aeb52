"""Copies weights from our model to its peer in PyTorch, and back."""

import keras
import numpy as np
import torch

from benchmarks.peers.torch_swav import TorchSwav
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models.backbones.regnet.key_layouts import HUGGING_FACE
from seer_tf.models.stored_tensors import LEAVES, torch_axes

_HIDDEN_LAYER = 3  # modules of one hidden layer in the peer's projection: linear, batch norm, ReLU


def to_torch(model: SwavModel, peer: TorchSwav) -> None:
    """Gives the peer the weights and moving statistics of our model."""
    with torch.no_grad():
        for variable, tensor in pairs(model, peer):
            tensor.copy_(torch.from_numpy(variable.numpy().transpose(np.argsort(torch_axes(variable)))))


def from_torch(peer: TorchSwav, model: SwavModel) -> None:
    """Gives our model the weights and moving statistics of the peer."""
    for variable, tensor in pairs(model, peer):
        variable.assign(as_ours(variable, tensor))


def as_ours(variable: keras.Variable, tensor: torch.Tensor) -> np.ndarray:
    """Returns a tensor of the peer with the axes of our variable."""
    return tensor.detach().numpy().transpose(torch_axes(variable))


def pairs(model: SwavModel, peer: TorchSwav) -> list[tuple[keras.Variable, torch.Tensor]]:
    """Returns every variable of our model with the corresponding parameter or buffer of the peer.

    Raises:
        KeyError: The two networks differ.
    """
    tensors = dict(peer.named_parameters()) | dict(peer.named_buffers())
    named = [(variable, f"backbone.{HUGGING_FACE.key(variable.path)}") for variable in model.backbone.variables]
    for layers, place in ((model.head.linears, 0), (model.head.norms, 1)):
        for number, layer in enumerate(layers):
            module = f"projection.{_HIDDEN_LAYER * number + place}"
            named += [(variable, f"{module}.{LEAVES[variable.name]}") for variable in layer.variables]
    named.append((model.head.prototypes, "prototypes.weight"))
    return [(variable, tensors[name]) for variable, name in named]
