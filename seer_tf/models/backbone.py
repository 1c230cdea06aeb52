"""The contract of a backbone: all that the rest of the program knows about it.

A family of backbones is a subclass of `Backbone`, a `BackboneCost`, and an entry in `backbones/registry.py`.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol, Self

import keras

from seer_tf.precision import at_least_float32


class Backbone(keras.Model):
    """A network from normalised images [B, h, w, 3] to the feature map of its last stage [B, h', w', C].

    A subclass is a functional model. Its `get_config` returns the arguments of its constructor as JSON types. Its batch
    normalisation layers come from `models/layers.py`, so that they can be synchronised.

    Attributes:
        variant: Name of the network, as in `backbone.variant` of a config.
        licence: Licence of the weights; empty if unknown.
        pyramid_outputs: Symbolic output of each resolution: "P1" has half of the image's resolution, "P2" a quarter.
            The last one is the output of the model.
    """

    variant: str
    licence: str
    pyramid_outputs: dict[str, keras.KerasTensor]

    def remade(self, **changes: Any) -> Self:
        """Returns a copy with fresh weights and other arguments.

        Args:
            **changes: Arguments of the constructor. Those that this class does not have are ignored.
        """
        config = self.get_config()
        return type(self).from_config({**config, **{name: changes[name] for name in changes.keys() & config.keys()}})


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
