"""The weights of a RegNetY for PyTorch, named as in timm or in Hugging Face's transformers; needs no PyTorch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy

from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet.design import STEM_WIDTH, VARIANTS, RegNetDesign, design
from seer_tf.models.backbones.regnet.key_layouts import HUGGING_FACE, TIMM
from seer_tf.models.backbones.regnet.stored_network import open_stored_network
from seer_tf.models.key_layout import KeyLayout
from seer_tf.models.stored_tensors import LEAVES, torch_axes
from seer_tf.networks.network import Network

_STEM_STRIDE = 2
_STATISTIC, _COUNTER = ".running_var", ".num_batches_tracked"


def write_timm(network: Network, path: Path) -> None:
    """Writes a safetensors file with the names in timm's `RegNet`.

    Raises:
        InputError: Such a file cannot hold the network.
    """
    _write_tensors(network, TIMM, path)


def write_hugging_face(network: Network, path: Path) -> None:
    """Writes a directory that `from_pretrained` of transformers' RegNet classes takes.

    Raises:
        InputError: Such a directory cannot hold the network.
    """
    path.mkdir()
    _write_tensors(network, HUGGING_FACE, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(_hugging_face_config(network), indent=2) + "\n", "utf-8")


def _write_tensors(network: Network, layout: KeyLayout, path: Path) -> None:
    _check_regnety(network, layout.name)
    named = _named(network, layout)
    tensors = {name: _in_pytorchs_order(variable) for name, variable in named.items()}
    # PyTorch counts the batches of each batch normalisation, and a strict load asks for the counters.
    norms = [name.removesuffix(_STATISTIC) for name in tensors if name.endswith(_STATISTIC)]
    counters = {norm + _COUNTER: np.zeros([], np.int64) for norm in norms}
    safetensors.numpy.save_file(tensors | counters, path, metadata={"format": "pt"})
    _check_read_back(path, named)


def _check_read_back(path: Path, named: Mapping[str, keras.Variable]) -> None:
    """Compares the file with the variables, bit for bit, by the way in which the converter reads it.

    Raises:
        InputError: A tensor differs.
    """
    stored = open_stored_network(path)
    for name, variable in named.items():
        if not np.array_equal(stored.tensors[name].read().transpose(torch_axes(variable)), variable.numpy()):
            raise InputError(f"{path.name}: {name} is not as it was written; try again, on another disk")


def _check_regnety(network: Network, project: str) -> None:
    """Raises an error if the project has no such network.

    Raises:
        InputError: The network is no RegNetY of a known design, its stem does not halve images, or its part has layers
            that the project does not have.
    """
    backbone, classifier = network.backbone, network.classifier
    if not isinstance(backbone, RegNetY):
        raise InputError(f"{project} has no {type(backbone).__name__}, only a RegNetY; take another format")
    if backbone.stem_stride != _STEM_STRIDE:
        raise InputError(
            f"the stem of this network has stride {backbone.stem_stride}, and {project}'s RegNetY has "
            f"{_STEM_STRIDE}; take another format"
        )
    if backbone.stem_width != STEM_WIDTH or _design(backbone) not in VARIANTS.values():
        raise InputError(
            "this network is no named variant of RegNetY, so it could not be read back; take another format"
        )
    if network.head is not None:
        raise InputError(f"{project} has no head from pretraining; take backbone or classifier as `part`")
    if classifier is not None and [variable.name for variable in classifier.variables] != ["kernel", "bias"]:
        raise InputError(f"{project}'s classifier is one linear layer, and this one is not; take backbone as `part`")


def _design(backbone: RegNetY) -> RegNetDesign:
    return backbone.design or design(backbone.variant)


def _named(network: Network, layout: KeyLayout) -> dict[str, keras.Variable]:
    """Returns every variable by its name in a layout."""
    variables, classifier = network.backbone.variables, network.classifier
    if classifier is None:
        return {layout.key(variable.path): variable for variable in variables}
    of_trunk = {layout.trunk + layout.key(variable.path): variable for variable in variables}
    return of_trunk | {f"{layout.classifier}.{LEAVES[variable.name]}": variable for variable in classifier.variables}


def _in_pytorchs_order(variable: keras.Variable) -> np.ndarray:
    """Returns the values with PyTorch's order of axes."""
    return np.ascontiguousarray(variable.numpy().transpose(np.argsort(torch_axes(variable))))


def _hugging_face_config(network: Network) -> Mapping[str, Any]:
    """Returns the content of config.json, as transformers' `RegNetConfig` has it."""
    stages = _design(network.backbone).stages()
    config = {
        "model_type": "regnet",
        "architectures": ["RegNetModel" if network.classifier is None else "RegNetForImageClassification"],
        "layer_type": "y",
        "hidden_act": "relu",
        "num_channels": 3,
        "embedding_size": STEM_WIDTH,
        "hidden_sizes": [stage.width for stage in stages],
        "depths": [stage.depth for stage in stages],
        "groups_width": stages[-1].group_width,
        "downsample_in_first_stage": True,
    }
    if network.classifier is not None:
        config["id2label"] = {str(number): name for number, name in enumerate(network.class_names)}
        config["label2id"] = {name: number for number, name in enumerate(network.class_names)}
    return config
