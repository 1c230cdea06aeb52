"""The contract of a backbone: all that the rest of the program knows about it.

A family of backbones is a subclass of `Backbone`, a `BackboneCost`, and an entry in `backbones/registry.py`.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import keras

from seer_tf.errors import InputError
from seer_tf.files.system_errors import takes_paths
from seer_tf.models.keras_file import read_keras_file
from seer_tf.precision import at_least_float32

_SUFFIXES = (".keras", ".torch", ".safetensors", ".bin", ".pth", ".json")


class Backbone(keras.Model):
    """A network from normalised images [B, h, w, 3] to the feature map of its last stage [B, h', w', C].

    A subclass is a functional model. Its `get_config` returns the arguments of its constructor as JSON types. Its batch
    normalisation layers come from `models/layers.py`, so that they can be synchronised.

    Attributes:
        variant: Name of the network, as in `backbone.variant` of a config.
        stem_stride: Stride of the first convolution, as in `backbone.stem_stride` of a config.
        licence: Licence of the weights; empty if unknown.
        pyramid_outputs: Symbolic output of each resolution: "P1" has half of the image's resolution, "P2" a quarter.
            The last one is the output of the model.
    """

    #: Functions that return a network with fresh weights, by the name of a preset. Each family adds its own.
    presets: ClassVar[dict[str, Callable[..., "Backbone"]]] = {}
    #: Function that reads the network in a released checkpoint.
    read_checkpoint: ClassVar[Callable[[Path], "Backbone"]]

    variant: str
    #: Kind of pixels that the network's first layer makes from normalised images; "normalized" without such a layer.
    expects: str = "normalized"
    stem_stride: int
    licence: str
    pyramid_outputs: dict[str, keras.KerasTensor]

    @classmethod
    @takes_paths
    def from_preset(cls, preset: str | os.PathLike[str], *, load_weights: bool = True, **kwargs: Any) -> Self:
        """Returns a backbone by the name of a preset, or with the weights in a file.

        No weights come with this package: a name gives the architecture with fresh weights.

        Args:
            preset: A name of `Backbone.presets`, e.g. "regnety_400mf"; or the path of a released checkpoint, of a
                directory that `convert_checkpoint` wrote, or of a `.keras` file.
            load_weights: Whether a backbone from a path has the weights at this path; otherwise they are fresh.
            **kwargs: Arguments of the constructor to replace, e.g. `stem_stride` or `dtype`.

        Raises:
            InputError: There is no such preset or file, or it holds another kind of network.
        """
        name, path = preset_name(os.fspath(preset)), Path(preset).expanduser()
        if name in cls.presets:
            found = cls.presets[name](**kwargs)
        elif path.exists() or len(path.parts) > 1 or path.suffix in _SUFFIXES:
            read = _read(cls, path)
            found = read.remade(**kwargs) if kwargs or not load_weights else read
            if found is not read and load_weights:
                found.set_weights(read.get_weights())
        else:
            raise InputError.unknown("preset", os.fspath(preset), cls.presets)
        if not isinstance(found, cls):
            raise InputError(f"{os.fspath(preset)} is a {type(found).__name__} and no {cls.__name__}; give another one")
        return found

    def check_size(self, size_px: int) -> None:
        """Raises an error if square images of this size are too small for the network. By default none are.

        Args:
            size_px: Side of the images in pixels.

        Raises:
            InputError: They are too small.
        """

    def remade(self, **changes: Any) -> Self:
        """Returns a copy with fresh weights and other arguments.

        Args:
            **changes: Arguments of the constructor. Those that this class does not have are ignored.
        """
        config = self.get_config()
        return type(self).from_config({**config, **{name: changes[name] for name in changes.keys() & config.keys()}})


def preset_name(name: str) -> str:
    """Returns the name of a preset in its one spelling: "RegNetY-1.6GF" and "regnet_y_1_6gf" are "regnety_1_6gf"."""
    return re.sub(r"^regnet_y_?", "regnety_", re.sub(r"[-. ]", "_", name.lower()))


def _read(kind: type[Backbone], path: Path) -> Backbone:
    """Returns the backbone in a `.keras` file, in the directory of a conversion, or in a released checkpoint."""
    if (path / "model.keras").is_file():
        path = path / "model.keras"
    if path.suffix != ".keras":
        return kind.read_checkpoint(path)
    found = read_keras_file(path)
    if not isinstance(found, Backbone):
        raise InputError(f"{path}: this is no backbone; give the model.keras of a converted checkpoint")
    return found


@dataclasses.dataclass(frozen=True)
class BlockCost:
    """Elements per image that the backward pass needs from one block.

    Attributes:
        stage: Number of the stage.
        input: Input of the block.
        inner: Outputs of the inner convolutions, each of which is normalised.
        between: Activations between each of these outputs and the next convolution.
        outer: Outputs of the last convolution and of the shortcut, which are normalised too.
    """

    stage: int
    input: int
    inner: tuple[int, ...]
    between: tuple[int, ...]
    outer: int


class BackboneCost(Protocol):
    """The cost of a backbone, known without building the network."""

    @property
    def weight_sizes(self) -> Sequence[int]:
        """Number of elements in each trained weight, in the order of the model."""

    @property
    def normalized_widths(self) -> Sequence[int]:
        """Number of channels of each batch normalisation."""

    @property
    def feature_width(self) -> int:
        """Number of channels of the last stage."""

    def multiply_adds(self, size_px: int) -> int:
        """Returns the number of multiply-adds in a forward pass with one square image."""

    def stem_elements(self, size_px: int) -> int:
        """Returns the number of elements in the stem's output for one square image."""

    def blocks(self, size_px: int) -> Sequence[BlockCost]:
        """Returns the cost of each block for one square image."""


def pooled(backbone: Backbone) -> keras.Model:
    """Returns a model from images to features: the mean over the last stage's pixels, [B, C], float32 at least."""
    dtype = at_least_float32(backbone.compute_dtype)
    features = keras.layers.GlobalAveragePooling2D(name="pooled", dtype=dtype)(backbone.output)
    return keras.Model(backbone.input, features, name=f"{backbone.name}_pooled")
