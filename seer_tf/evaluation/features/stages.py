"""Features from any stage of a network, pooled to about 9,000 numbers as VISSL does for its linear classifiers.

Shapes: B images, s side of an image in px, h x w pixels of a map, C channels, D = rows * columns * C numbers of a
feature.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models import Backbone, Encoder, all_stages
from seer_tf.models.all_stages import AllStages
from seer_tf.models.stage_maps import AVGPOOL, in_order, stage_maps, stage_names

StageFeatures = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""A function from images, uint8 [B, s, s, 3], to features, float32 [B, D], by name of the stage."""

_ABOUT = 9000
# Rows and columns from VISSL's `linear_image_classification/imagenet1k/models/regnet*.yaml`; of several, the first.
_PUBLISHED_CELLS = {
    ("8GF", "res4"): (3, 3),
    ("8GF", "res5"): (6, 1),
    ("16GF", "res4"): (3, 3),
    ("16GF", "res5"): (4, 1),
    ("32GF", "res4"): (7, 1),
    ("32GF", "res5"): (3, 1),
    ("64GF", "res4"): (5, 1),
    ("64GF", "res5"): (2, 1),
    ("128GF", "res4"): (3, 1),
    ("128GF", "res5"): (2, 1),
    ("256GF", "res4"): (2, 1),
    ("256GF", "res5"): (1, 2),
    ("10B", "res4"): (2, 1),
    ("10B", "res5"): (2, 1),
}


@dataclasses.dataclass(frozen=True)
class Pooling:
    """A grid of cells on a map. A feature holds the mean of each cell, row by row; a cell's channels are adjacent."""

    rows: int
    columns: int
    channels: int

    def __post_init__(self) -> None:
        """Checks values that were read from a file."""
        if min(self.rows, self.columns, self.channels) < 1:
            raise ValueError(f"a grid has at least one cell, and not {self}")

    @property
    def dim(self) -> int:
        """Returns D."""
        return self.rows * self.columns * self.channels


def poolings(backbone: Backbone, stages: Sequence[str], *, size_px: int) -> dict[str, Pooling]:
    """Returns how each stage is pooled.

    Args:
        backbone: Backbone of the features.
        stages: Some of `stage_names(backbone)` and `AVGPOOL`.
        size_px: Side of the images in pixels.

    Raises:
        InputError: The network has no such stage.
    """
    known = (*stage_names(backbone), AVGPOOL)
    for stage in stages:
        if stage not in known:
            raise InputError.unknown("stage of this network", stage, (*known, all_stages.NAME))
    shapes = stage_maps(backbone).compute_output_shape((None, size_px, size_px, 3))
    return {stage: pooling(backbone.variant, stage, shapes[stage][1:]) for stage in stages}


def pooling(variant: str, stage: str, map_shape: tuple[int, int, int]) -> Pooling:
    """Returns how a stage is pooled.

    A released SEER network gets VISSL's grid. Any other network gets the square grid whose features come nearest to
    9,000 numbers, which is how VISSL pools a ResNet-50. No grid is finer than the map.

    Args:
        variant: Variant of the network.
        stage: Name of the stage.
        map_shape: Height, width and channels of the map.
    """
    height, width, channels = map_shape
    side = max(1, round((_ABOUT / channels) ** 0.5))
    rows, columns = (1, 1) if stage == AVGPOOL else _PUBLISHED_CELLS.get((variant, stage), (side, side))
    return Pooling(min(rows, height), min(columns, width), channels)


def stage_features(encoder: Encoder, pooled: Mapping[str, Pooling], whitened: AllStages | None = None) -> StageFeatures:
    """Returns a function from images to the features of several stages, in one pass with batch norm in inference mode.

    Args:
        encoder: Backbone and normalisation.
        pooled: Pooling of each stage, from `poolings`.
        whitened: Layer for features of all stages; None for none.
    """
    maps = stage_maps(encoder.backbone)

    def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
        of_stage = maps(encoder.normalize(images), training=False)  # [B, h, w, C] each
        found = {stage: _pool(of_stage[stage], grid) for stage, grid in pooled.items()}
        of_all = {} if whitened is None else {all_stages.NAME: whitened(in_order(encoder.backbone, of_stage))}
        return found | of_all

    return features


def _pool(maps: tf.Tensor, grid: Pooling) -> tf.Tensor:
    maps = tf.cast(maps, tf.float32)  # [B, h, w, C]
    if (grid.rows, grid.columns) == (1, 1):
        return tf.reduce_mean(maps, axis=[1, 2])  # [B, C]
    rows, columns = _averaging(grid.rows, maps.shape[1]), _averaging(grid.columns, maps.shape[2])
    return tf.reshape(tf.einsum("rh,qw,bhwc->brqc", rows, columns, maps), [-1, grid.dim])  # [B, D]


def _averaging(num_cells: int, size: int) -> np.ndarray:
    """Returns PyTorch's adaptive average pooling as a matrix, float32 [num_cells, size]; Keras's fails for one cell."""
    matrix = np.zeros([num_cells, size], np.float32)
    for cell in range(num_cells):
        first, end = cell * size // num_cells, -(-(cell + 1) * size // num_cells)
        matrix[cell, first:end] = 1.0 / (end - first)
    return matrix
