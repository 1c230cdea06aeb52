"""The designs of ResNets (He et al. 2016) and ResNeXts (Xie et al. 2017) as in torchvision, whose code VISSL calls.

Keras's own ResNet-50 differs: its convolutions have biases, and in a block the first one has the stride.
"""

import dataclasses
from collections.abc import Iterator

STEM_WIDTH = 64
_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage: blocks of one width.

    Attributes:
        depth: Number of blocks.
        width: Number of channels of the output.
        inner_width: Number of channels inside a block.
        groups: Number of groups of the 3 x 3 convolution.
        strides: Stride of the first block.
    """

    depth: int
    width: int
    inner_width: int
    groups: int
    strides: int


@dataclasses.dataclass(frozen=True)
class ResNetDesign:
    """A ResNet, or with more than one group a ResNeXt.

    Attributes:
        depths: Number of blocks of each stage.
        groups: Number of groups of each 3 x 3 convolution.
        group_width: Number of channels of a group in the first stage; each stage doubles it.
    """

    depths: tuple[int, ...]
    groups: int = 1
    group_width: int = 64

    def stages(self) -> Iterator[Stage]:
        """Yields the stages, from the image to the features."""
        for number, depth in enumerate(self.depths):
            inner_width = self.groups * self.group_width * 2**number
            yield Stage(depth, 64 * _EXPANSION * 2**number, inner_width, self.groups, 2 if number else 1)


VARIANTS = {
    "resnet50": ResNetDesign((3, 4, 6, 3)),
    "resnet101": ResNetDesign((3, 4, 23, 3)),
    "resnext101_32x8d": ResNetDesign((3, 4, 23, 3), groups=32, group_width=8),
}
