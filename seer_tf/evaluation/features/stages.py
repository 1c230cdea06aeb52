"""Features of any stage of a network, pooled as VISSL pools them for its linear classifiers: to about 9,000 numbers.

B images, s their side in px, h x w pixels of a map, C channels, D = rows * columns * C numbers of a feature
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models import Backbone, Encoder

AVGPOOL = "avgpool"
"""The mean over the last stage's map: the features of k-NN, retrieval and fine-tuning."""

StageFeatures = Callable[[tf.Tensor], dict[str, tf.Tensor]]
"""From uint8 [B, s, s, 3] to float32 [B, D] by name of the stage."""

_ABOUT = 9000
# Rows and columns by VISSL's `linear_image_classification/imagenet1k/models/regnet*.yaml`, the first of several.
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
    """How a map becomes a feature: the means of a grid of cells, row by row, the channels of a cell together."""

    rows: int
    columns: int
    channels: int

    @property
    def dim(self) -> int:
        """Returns D."""
        return self.rows * self.columns * self.channels


def stage_names(backbone: Backbone) -> tuple[str, ...]:
    """Returns what can be asked for: stages by the paper's names, res2 being the first, and the mean of the last."""
    return (*(f"res{output.removeprefix('P')}" for output in backbone.pyramid_outputs if output != "P1"), AVGPOOL)


def poolings(backbone: Backbone, stages: Sequence[str], *, size_px: int) -> dict[str, Pooling]:
    """Returns how each stage is pooled.

    Args:
        backbone: Backbone of the features.
        stages: Names of `stage_names(backbone)`.
        size_px: S.

    Raises:
        InputError: the network has no such stage.
    """
    for stage in stages:
        if stage not in stage_names(backbone):
            raise InputError.unknown("stage of this network", stage, stage_names(backbone))
    shapes = _maps(backbone).compute_output_shape((None, size_px, size_px, 3))
    return {stage: pooling(backbone.variant, stage, shapes[stage][1:]) for stage in stages}


def pooling(variant: str, stage: str, map_shape: tuple[int, int, int]) -> Pooling:
    """Returns how a stage is pooled.

    A released network of SEER has VISSL's grid; another the square one that comes nearest to 9,000 numbers, which is
    how VISSL pools a ResNet-50. No grid is finer than the map.

    Args:
        variant: Variant of the network.
        stage: Name of the stage.
        map_shape: H, w, C.
    """
    height, width, channels = map_shape
    side = max(1, round((_ABOUT / channels) ** 0.5))
    rows, columns = (1, 1) if stage == AVGPOOL else _PUBLISHED_CELLS.get((variant, stage), (side, side))
    return Pooling(min(rows, height), min(columns, width), channels)


def stage_features(encoder: Encoder, pooled: Mapping[str, Pooling]) -> StageFeatures:
    """Returns the function from images to the features of several stages, by one pass, batch norm in inference.

    Args:
        encoder: Backbone and normalisation.
        pooled: What `poolings` says of the stages.
    """
    maps = _maps(encoder.backbone)

    def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
        of_stage = maps(encoder.normalize(images), training=False)  # [B, h, w, C] each
        return {stage: _pool(of_stage[stage], grid) for stage, grid in pooled.items()}

    return features


def _maps(backbone: Backbone) -> keras.Model:
    """Returns the model of all stages' maps; the mean is of the last one's."""
    outputs = {f"res{name.removeprefix('P')}": output for name, output in backbone.pyramid_outputs.items()}
    return keras.Model(backbone.input, {**outputs, AVGPOOL: backbone.output})


def _pool(maps: tf.Tensor, grid: Pooling) -> tf.Tensor:
    maps = tf.cast(maps, tf.float32)  # [B, h, w, C]
    if (grid.rows, grid.columns) == (1, 1):
        return tf.reduce_mean(maps, axis=[1, 2])  # [B, C]
    rows, columns = _averaging(grid.rows, maps.shape[1]), _averaging(grid.columns, maps.shape[2])
    return tf.reshape(tf.einsum("rh,qw,bhwc->brqc", rows, columns, maps), [-1, grid.dim])  # [B, D]


def _averaging(num_cells: int, size: int) -> np.ndarray:
    """Returns the matrix [num_cells, size] of PyTorch's adaptive average, float32; Keras's fails for a single cell."""
    matrix = np.zeros([num_cells, size], np.float32)
    for cell in range(num_cells):
        first, end = cell * size // num_cells, -(-(cell + 1) * size // num_cells)
        matrix[cell, first:end] = 1.0 / (end - first)
    return matrix
