"""The design space of RegNet: five numbers define a network.

The stages follow from (depth, w_0, w_a, w_m, group width) as in Radosavovic et al. 2020, section 3.3, and in
ClassyVision's `models/regnet.py`. The squeeze-and-excitation of each block follows from the block's input width
(`models/anynet.py`). Both computations round half to even. `VARIANTS` lists the networks of SEER and its relatives.
"""

import dataclasses
import math

import numpy as np

from seer_tf.errors import InputError

STEM_WIDTH = 32
_WIDTH_MULTIPLE = 8
_SQUEEZE_RATIO = 0.25
_IMAGE_CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks of one width. The first block halves the resolution."""

    width: int
    depth: int
    group_width: int
    num_groups: int


@dataclasses.dataclass(frozen=True)
class RegNetDesign:
    """The parameters of a RegNetY.

    Attributes:
        depth: Number of blocks.
        w_0: Width at the start of the linear ramp, a multiple of 8.
        w_a: Slope of the ramp, in channels per block.
        w_m: Ratio between the widths of neighbouring stages.
        group_width: Channels in a group of the 3 x 3 convolutions.
    """

    depth: int
    w_0: int
    w_a: float
    w_m: float
    group_width: int

    def __post_init__(self) -> None:
        """Raises an InputError if the numbers describe no network."""
        if self.depth < 1 or self.w_0 < 1 or self.w_0 % _WIDTH_MULTIPLE or self.group_width < 1:
            raise InputError(
                f"{self} is no RegNet: depth and group_width must be at least 1, and w_0 a positive multiple of 8."
            )
        if self.w_a < 0 or self.w_m <= 1:
            raise InputError(f"{self} is no RegNet: w_a must be at least 0 and w_m above 1.")

    def stages(self) -> tuple[Stage, ...]:
        """Returns the stages, from the highest resolution to the lowest."""
        ramp = self.w_0 + self.w_a * np.arange(self.depth)
        exponents = np.round(np.log(ramp / self.w_0) / math.log(self.w_m))
        widths = np.round(self.w_0 * self.w_m**exponents / _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE
        return tuple(
            _stage(int(width), int(depth), self.group_width)
            for width, depth in zip(*np.unique(widths, return_counts=True), strict=True)
        )


def _stage(width: int, depth: int, group_width: int) -> Stage:
    """Returns the stage whose width is the multiple of the group width nearest to `width`."""
    group_width = min(group_width, width)
    num_groups = round(width / group_width)
    return Stage(width=num_groups * group_width, depth=depth, group_width=group_width, num_groups=num_groups)


def squeeze_width(input_width: int) -> int:
    """Returns the width inside the squeeze-and-excitation of a block that takes `input_width` channels."""
    return round(_SQUEEZE_RATIO * input_width)


VARIANTS: dict[str, RegNetDesign] = {
    "90MF": RegNetDesign(4, 32, 50.0, 2.0, 16),  # ours, for small images: four blocks, widths 32 to 256
    "190MF": RegNetDesign(4, 32, 70.0, 2.83, 32),  # ours too: its three stages turn a 32 px crop into 4 x 4
    "200MF": RegNetDesign(13, 24, 36.44, 2.49, 8),
    "400MF": RegNetDesign(16, 48, 27.89, 2.09, 8),
    "600MF": RegNetDesign(15, 48, 32.54, 2.32, 16),
    "800MF": RegNetDesign(14, 56, 38.84, 2.40, 16),
    "1.6GF": RegNetDesign(27, 48, 20.71, 2.65, 24),
    "3.2GF": RegNetDesign(21, 80, 42.63, 2.66, 24),
    "4GF": RegNetDesign(22, 96, 31.41, 2.24, 64),
    "6.4GF": RegNetDesign(25, 112, 33.22, 2.27, 72),
    "8GF": RegNetDesign(17, 192, 76.82, 2.19, 56),
    "12GF": RegNetDesign(19, 168, 73.36, 2.37, 112),
    "16GF": RegNetDesign(18, 200, 106.23, 2.48, 112),
    "32GF": RegNetDesign(20, 232, 115.89, 2.53, 232),
    "64GF": RegNetDesign(20, 352, 147.48, 2.40, 328),
    "128GF": RegNetDesign(27, 456, 160.83, 2.52, 264),
    "256GF": RegNetDesign(27, 640, 230.83, 2.53, 373),  # of SEER, VISSL's regnet256Gf_1; ClassyVision's differs
    "10B": RegNetDesign(27, 1744, 620.83, 2.52, 1010),
}


def design(variant: str) -> RegNetDesign:
    """Returns the design of a variant.

    Args:
        variant: A key of `VARIANTS`, e.g. "400MF".

    Raises:
        InputError: The variant does not exist.
    """
    if variant not in VARIANTS:
        raise InputError.unknown("RegNetY variant", variant, VARIANTS)
    return VARIANTS[variant]


def parameter_count(design: RegNetDesign, *, stem_width: int = STEM_WIDTH) -> int:
    """Returns the number of trainable parameters of the backbone, without pooling or head."""
    count = 9 * _IMAGE_CHANNELS * stem_width + 2 * stem_width
    input_width = stem_width
    for stage in design.stages():
        for block in range(stage.depth):
            squeeze, width = squeeze_width(input_width), stage.width
            count += input_width * width + 9 * width * stage.group_width + width * width + 3 * 2 * width
            count += 2 * width * squeeze + squeeze + width
            if block == 0:
                count += input_width * width + 2 * width
            input_width = width
    return count


def multiply_adds(
    design: RegNetDesign, *, size_px: int = 224, stem_width: int = STEM_WIDTH, stem_stride: int = 2
) -> int:
    """Returns the number of multiply-adds in a forward pass with one square image, for convolutions only.

    Args:
        design: Design of the network.
        size_px: Side of the image.
        stem_width: Channels after the stem.
        stem_stride: Stride of the stem.
    """
    side = math.ceil(size_px / stem_stride)
    count = 9 * _IMAGE_CHANNELS * stem_width * side**2
    input_width = stem_width
    for stage in design.stages():
        for block in range(stage.depth):
            input_side, side = side, math.ceil(side / 2) if block == 0 else side
            squeeze, width = squeeze_width(input_width), stage.width
            count += input_width * width * input_side**2
            count += (9 * width * stage.group_width + width * width) * side**2 + 2 * width * squeeze
            if block == 0:
                count += input_width * width * side**2
            input_width = width
    return count
