"""Fills Keras variables with the tensors of a file from PyTorch. Every shape is checked before a value is read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import keras

from seer_tf.errors import InputError
from seer_tf.models.checkpoint_files import StoredTensor
from seer_tf.progress import Progress

LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""PyTorch's name for each name of a variable."""
_NAMES_IN_A_SENTENCE = 8

Filling = list[tuple[keras.Variable, str]]
"""Variables, each with the name of the tensor that fills it."""


@dataclasses.dataclass(frozen=True)
class StoredTensors:
    """The tensors in a file.

    Attributes:
        path: Path of the file.
        tensors: All tensors in the file, by name.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]

    def shape(self, name: str) -> tuple[int, ...]:
        """Returns the shape of a tensor; () if the tensor is not in the file."""
        return self.tensors[name].shape if name in self.tensors else ()


def layer_filling(layer: keras.layers.Layer, module: str) -> Filling:
    """Returns the variables of a layer with the names of the tensors of a module."""
    return [(variable, f"{module}.{LEAVES[variable.name]}") for variable in layer.variables]


def fill(stored: StoredTensors, filling: Filling) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Gives each variable the values of its tensor.

    Returns:
        The names of the tensors that fill a variable, and those of the other tensors in the file.

    Raises:
        InputError: A tensor is missing or has the wrong shape. No variable is changed in this case.
    """
    missing = [name for _, name in filling if name not in stored.tensors]
    if missing:
        raise InputError(
            f"{stored.path}: {len(missing)} of {len(filling)} tensors that the network needs are missing: "
            f"{_enumerated(missing)}; give a complete checkpoint."
        )
    wrong = [name for variable, name in filling if not _fits(stored.shape(name), variable)]
    if wrong:
        shapes = [f"{name} is {stored.shape(name)}" for name in wrong]
        raise InputError(f"{stored.path}: these tensors have another shape than in the network: {_enumerated(shapes)}.")
    with Progress(len(filling), "tensor", f"reading {stored.path}") as progress:
        for variable, name in filling:
            variable.assign(stored.tensors[name].read().transpose(torch_axes(variable)))
            progress.advance()
    matched = {name: None for _, name in filling}  # in order
    return tuple(matched), tuple(name for name in stored.tensors if name not in matched)


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
