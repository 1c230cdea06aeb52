"""The cost of a ResNet, computed from its design."""

import functools
import math
from collections.abc import Iterator

from seer_tf.config import BackboneConfig
from seer_tf.models.backbone import BlockCost
from seer_tf.models.backbones.resnet.design import STEM_WIDTH, VARIANTS, Stage

_IMAGE_CHANNELS, _STEM_PIXELS = 3, 49


class ResNetCost:
    """The cost of a ResNet. It implements `BackboneCost`."""

    def __init__(self, config: BackboneConfig) -> None:
        """Looks up the design.

        Args:
            config: Backbone configuration.
        """
        self._stages = list(VARIANTS[config.variant].stages())
        self._stem_stride = config.stem_stride

    @property
    def feature_width(self) -> int:
        """Number of channels of the last stage."""
        return self._stages[-1].width

    @property
    def normalized_widths(self) -> list[int]:
        """Number of channels of each batch normalisation."""
        return [STEM_WIDTH, *(kernel[-1] for *_, kernels in self._blocks() for kernel in kernels)]

    @functools.cached_property
    def weight_sizes(self) -> list[int]:
        """Number of elements in each trained weight, in the order of the model: kernel, gamma and beta."""
        kernels = [
            (_STEM_PIXELS * _IMAGE_CHANNELS, STEM_WIDTH),
            *(each for *_, kernels in self._blocks() for each in kernels),
        ]
        return [size for fan_in, width in kernels for size in (fan_in * width, width, width)]

    def multiply_adds(self, size_px: int) -> int:
        """Returns the number of multiply-adds in a forward pass with one square image, for convolutions only."""
        side = math.ceil(size_px / self._stem_stride)
        total, side = _STEM_PIXELS * _IMAGE_CHANNELS * STEM_WIDTH * side**2, math.ceil(side / 2)
        for _, _, strides, kernels in self._blocks():
            side_in, side = side, math.ceil(side / strides)
            for number, (fan_in, width) in enumerate(kernels):
                total += fan_in * width * (side_in if number == 0 else side) ** 2
        return total

    def stem_elements(self, size_px: int) -> int:
        """Returns the number of elements in the output of the first convolution for one square image."""
        return STEM_WIDTH * math.ceil(size_px / self._stem_stride) ** 2

    def blocks(self, size_px: int) -> list[BlockCost]:
        """Returns the cost of each block for one square image."""
        side, width_in, costs = math.ceil(math.ceil(size_px / self._stem_stride) / 2), STEM_WIDTH, []
        for number, stage, strides, kernels in self._blocks():
            side_in, side = side, math.ceil(side / strides)
            inner_in, inner = stage.inner_width * side_in**2, stage.inner_width * side**2
            padded = stage.inner_width * (side_in + 2) ** 2 if strides > 1 else 0
            costs.append(
                BlockCost(
                    stage=number,
                    input=width_in * side_in**2,
                    inner=(inner_in, inner),
                    between=(inner_in + padded, inner),
                    outer=stage.width * side**2 * (len(kernels) - 2),
                )
            )
            width_in = stage.width
        return costs

    def _blocks(self) -> Iterator[tuple[int, Stage, int, list[tuple[int, int]]]]:
        """Yields the number of the stage, the stage, the stride, and fan-in and width of each convolution."""
        width_in = STEM_WIDTH
        for number, stage in enumerate(self._stages):
            inner, width = stage.inner_width, stage.width
            for block in range(stage.depth):
                kernels = [(width_in, inner), (9 * inner // stage.groups, inner), (inner, width)]
                yield number, stage, 1 if block else stage.strides, kernels + ([] if block else [(width_in, width)])
                width_in = width
