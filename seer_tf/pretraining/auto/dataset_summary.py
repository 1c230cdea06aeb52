"""Summary of a data set from a few images: their size, and whether the images differ enough to learn from."""

import dataclasses

import numpy as np
import tensorflow as tf

from seer_tf.data.images import acceptance, formats
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

_NUM_IMAGES = 64
_SIDE_PX = 8
#: An image has a single colour if its channels, at 8 x 8 pixels, vary by fewer levels than this.
_LEAST_CONTRAST = 6.0


@dataclasses.dataclass(frozen=True)
class DatasetSummary:
    """Facts about a source, estimated from a few images.

    Attributes:
        num_images: Number of images in the whole source.
        shorter_side_px: Median of the shorter side over the inspected images, in pixels.
    """

    num_images: int
    shorter_side_px: int


def summarize(source: Source) -> DatasetSummary:
    """Inspects up to 64 images, evenly spaced in the source.

    Raises:
        InputError: The images teach nothing: none can be decoded, all show the same picture, or each has one colour.
    """
    with tf.device("CPU:0"):  # a GPU is for training
        return _summary(source)


def _summary(source: Source) -> DatasetSummary:
    numbers = np.unique(np.linspace(0, source.num_images - 1, _NUM_IMAGES).round().astype(np.int64))
    images = [image for number in numbers if (image := _decoded(source, int(number))) is not None]
    if not images:
        raise InputError(f"none of the {len(numbers)} inspected images can be decoded; check `data.source`")
    pictures = np.stack([_shrunk(image) for image in images])  # [n, 8, 8, 3]
    if np.ptp(pictures, axis=(1, 2)).max() < _LEAST_CONTRAST:
        raise InputError(
            f"each of the {len(images)} inspected images has a single colour, so there is nothing to learn; check "
            "`data.source`"
        )
    if len(images) > 1 and np.ptp(pictures, axis=0).max() < _LEAST_CONTRAST:
        raise InputError(
            f"the {len(images)} inspected images all show the same picture, but SwAV learns by telling images apart; "
            "check `data.source`"
        )
    return DatasetSummary(source.num_images, round(float(np.median([min(image.shape[:2]) for image in images]))))


def _decoded(source: Source, number: int) -> tf.Tensor | None:
    try:
        return acceptance.decoded(source.read(number))
    except formats.UnusableImageError:
        return None


def _shrunk(image: tf.Tensor) -> np.ndarray:
    """Returns the image at 8 x 8 pixels, float32 [8, 8, 3]."""
    return tf.image.resize(image, [_SIDE_PX, _SIDE_PX], antialias=True).numpy()
