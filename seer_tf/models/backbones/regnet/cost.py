"""The cost of a RegNetY, computed from its design: weights, arithmetic, and activations for the backward pass."""

import functools
import math
from collections.abc import Iterator

from seer_tf.config import BackboneConfig
from seer_tf.models.backbone import BlockCost
from seer_tf.models.backbones.regnet import design as regnet_design

_IMAGE_CHANNELS = 3


class RegNetCost:
    """The cost of a RegNetY. It implements `BackboneCost`."""

    def __init__(self, config: BackboneConfig) -> None:
        """Looks up the design.

        Args:
            config: Backbone configuration.

        Raises:
            InputError: The variant does not exist.
        """
        self._design = regnet_design.design(config.variant)
        self._stages = self._design.stages()
        self._stem_stride = config.stem_stride

    @property
    def feature_width(self) -> int:
        """Number of channels of the last stage."""
        return self._stages[-1].width

    @property
    def normalized_widths(self) -> list[int]:
        """Number of channels of each batch normalisation: three per block, and one for each stage's shortcut."""
        widths = [regnet_design.STEM_WIDTH]
        for stage in self._stages:
            widths += [stage.width] * (3 * stage.depth + 1)
        return widths

    @functools.cached_property
    def weight_sizes(self) -> list[int]:
        """Number of elements in each trained weight, in the order of the model."""
        stem = regnet_design.STEM_WIDTH
        sizes = [9 * _IMAGE_CHANNELS * stem, stem, stem]
        width_in = stem
        for stage in self._stages:
            width = stage.width
            for index in range(stage.depth):
                squeeze = regnet_design.squeeze_width(width_in)
                for kernel in (width_in * width, 9 * stage.group_width * width, width * width):
                    sizes += [kernel, width, width]  # with gamma and beta
                sizes += [width * squeeze, squeeze, squeeze * width, width]
                sizes += [width_in * width, width, width] if index == 0 else []
                width_in = width
        return sizes

    def multiply_adds(self, size_px: int) -> int:
        """Returns the number of multiply-adds in a forward pass with one square image, for convolutions only."""
        return regnet_design.multiply_adds(self._design, size_px=size_px, stem_stride=self._stem_stride)

    def stem_elements(self, size_px: int) -> int:
        """Returns the number of elements in the stem's output for one square image."""
        return regnet_design.STEM_WIDTH * self._stem_side(size_px) ** 2

    def blocks(self, size_px: int) -> list[BlockCost]:
        """Returns the cost of each block for one square image."""
        return list(self._blocks(self._stem_side(size_px)))

    def _stem_side(self, size_px: int) -> int:
        return math.ceil(size_px / self._stem_stride)

    def _blocks(self, side: int) -> Iterator[BlockCost]:
        width_in = regnet_design.STEM_WIDTH
        for number, stage in enumerate(self._stages):
            for index in range(stage.depth):
                first, side_in = index == 0, side
                side = math.ceil(side / 2) if first else side
                pixels_in, pixels = stage.width * side_in**2, stage.width * side**2
                padded = stage.width * (side_in + 2) ** 2 if first else 0  # only where the stride is 2
                yield BlockCost(
                    stage=number,
                    input=width_in * side_in**2,
                    inner=(pixels_in, pixels),
                    between=(pixels_in + padded, 2 * pixels),  # after ReLU, and after squeeze-and-excitation
                    outer=pixels * (2 if first else 1),
                )
                width_in = stage.width
