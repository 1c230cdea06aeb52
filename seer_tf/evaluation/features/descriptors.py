"""Descriptors of whole images for copy detection: the map of a stage, pooled by R-MAC or GeM, and whitened.

As VISSL's `instance_retrieval_utils` with `eval_resnet_1gpu_copydays.yaml`: the longer side of an image becomes 224 px,
res4 is pooled by R-MAC at three levels (Tolias et al. 2016), every region is whitened to 1,024 numbers, and their sum
is the descriptor. GeM (a power of 4, Radenović et al. 2018) is VISSL's other choice; it does not bring the whitened GeM
to unit length, and we do. It is unknown from which images the whitening of the released numbers comes.

h x w pixels of a map, C channels, R regions, D numbers of a descriptor.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seer_tf.data.images.transform import WholeImage
from seer_tf.data.pipelines.evaluation import images_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.models import Encoder
from seer_tf.models.stage_maps import stage_maps
from seer_tf.progress import Progress

POOLINGS = ("rmac", "gem")

_LEVELS = 3
_OVERLAP = 0.4
_GEM_POWER = 4.0
_GEM_LEAST = 1e-6
_LEAST_VARIANCE = 1e-5  # as a share of the largest


def image_regions(
    encoder: Encoder, source: Source, *, stage: str, pooling: str, size_px: int, label: str = "descriptors"
) -> list[np.ndarray]:
    """Returns the regions of all images of a source, float32 [R, C] each, rows of unit length; GeM has one region.

    Args:
        encoder: Backbone and normalisation.
        source: Source of the images.
        stage: Stage whose map is pooled, as `stage_names` has it.
        pooling: One of `POOLINGS`.
        size_px: Longer side of the images.
        label: What the progress line says.

    Raises:
        InputError: There is no such stage or pooling, or an image cannot be read.
    """
    maps = stage_maps(encoder.backbone)
    if stage not in maps.output:
        raise InputError.unknown("stage of this network", stage, maps.output)
    if pooling not in POOLINGS:
        raise InputError.unknown("pooling of a descriptor", pooling, POOLINGS)
    pooled = rmac if pooling == POOLINGS[0] else gem
    of_stage = tf.function(
        lambda images: tf.cast(maps(encoder.normalize(images), training=False)[stage], tf.float32)[0],
        input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)],
    )
    regions = []
    with Progress(source.num_images, "image", label) as progress, unreadable_images_named():
        for images in images_dataset(source, WholeImage(size_px), batch_size=1):
            regions.append(_unit(pooled(of_stage(images).numpy())))
            progress.advance()
    return regions


def rmac(maps: np.ndarray) -> np.ndarray:
    """Returns the largest value of each channel in each region of a map [h, w, C], [R, C]."""
    regions = rmac_regions(*maps.shape[:2])
    return np.stack([maps[top : top + side, left : left + side].max(axis=(0, 1)) for top, left, side in regions])


def rmac_regions(height: int, width: int, levels: int = _LEVELS) -> list[tuple[int, int, int]]:
    """Returns the square regions of R-MAC: top, left and side.

    At level l a region has 2 / (l + 1) of the shorter side. Along that side there are l of them, along the longer one
    as many more as let regions of the first level overlap by about 40 %.

    Args:
        height: Height of the map.
        width: Width of the map.
        levels: Number of sizes.
    """
    shorter, longer = min(height, width), max(height, width)
    overlaps = 1 - (longer - shorter) / np.arange(1, 7) / shorter
    more = 0 if height == width else 1 + int(np.argmin(np.abs(overlaps - _OVERLAP)))
    regions = []
    for level in range(1, levels + 1):
        side = 2 * shorter // (level + 1)
        if side:
            tops = _positions(height, side, level + more * (height > width))
            lefts = _positions(width, side, level + more * (width > height))
            regions += [(top, left, side) for top in tops for left in lefts]
    return regions


def _positions(length: int, side: int, count: int) -> list[int]:
    """Returns the beginnings of regions that are spread evenly over a length, with whole numbers as centres."""
    centre = side // 2 - 1
    step = (length - side) / (count - 1) if count > 1 else 0.0
    begins = (np.floor(centre + step * np.arange(count)) - centre).astype(int)
    return np.minimum(begins, length - side).tolist()


def gem(maps: np.ndarray) -> np.ndarray:
    """Returns the generalised mean of each channel of a map [h, w, C], and a one as VISSL adds it, [1, C + 1]."""
    means = np.mean(np.maximum(maps, _GEM_LEAST) ** _GEM_POWER, axis=(0, 1)) ** (1 / _GEM_POWER)
    return np.append(means, 1.0).astype(np.float32)[np.newaxis]


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """A projection on the first principal axes, each divided by its spread.

    Attributes:
        mean: Float [C].
        projection: Float [D, C].
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Returns [n, D] of [n, C]."""
        return (rows - self.mean) @ self.projection.T


def fitted_whitening(regions: Sequence[np.ndarray], num_components: int) -> Whitening:
    """Returns the whitening of the regions of some images.

    Args:
        regions: Regions of each image, float [R, C].
        num_components: D, or C where that is less.

    Raises:
        InputError: There are fewer regions than components.
    """
    rows = np.concatenate(regions).astype(np.float64)
    num_components = min(num_components, rows.shape[1])
    if len(rows) <= num_components:
        raise InputError(
            f"whitening to {num_components} numbers needs more than {len(rows)} regions of images; add images, or "
            "lower `num_components`"
        )
    mean = rows.mean(axis=0)
    variances, axes = np.linalg.eigh((rows - mean).T @ (rows - mean))  # rising
    variances = np.maximum(variances, _LEAST_VARIANCE * variances.max())[::-1][:num_components]
    return Whitening(mean, (axes[:, ::-1][:, :num_components] / np.sqrt(variances)).T)


def descriptors(regions: Sequence[np.ndarray], whitening: Whitening | None) -> np.ndarray:
    """Returns the descriptor of each image, float32 [N, D], rows of unit length.

    Args:
        regions: Regions of each image, float [R, C], rows of unit length.
        whitening: Whitening of the regions; None for none.
    """
    whitened = regions if whitening is None else [_unit(whitening(rows)) for rows in regions]
    return _unit(np.stack([rows.sum(axis=0) for rows in whitened])).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
