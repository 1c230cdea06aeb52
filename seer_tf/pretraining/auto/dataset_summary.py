"""A look at a few images before a run: how large they are, and whether there is anything in them to tell apart."""

import dataclasses

import numpy as np
import tensorflow as tf

from seer_tf.data.images import decode, formats
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError

_NUM_IMAGES = 64
_SIDE_PX = 8
#: A picture whose channels stay within so many levels, shrunk to 8 x 8 pixels, is of one colour.
_LEAST_CONTRAST = 6.0


@dataclasses.dataclass(frozen=True)
class DatasetSummary:
    """What a few images say of all.

    Attributes:
        num_images: Number of images in the whole source.
        shorter_side_px: The median over those that were looked at.
    """

    num_images: int
    shorter_side_px: int


def summarize(source: Source) -> DatasetSummary:
    """Looks at up to 64 images, evenly spread over the source.

    Raises:
        InputError: there is nothing in them to learn from: none can be decoded, all are one picture, or each is of one
            colour.
    """
    numbers = np.unique(np.linspace(0, source.num_images - 1, _NUM_IMAGES).round().astype(np.int64))
    images = [image for number in numbers if (image := _decoded(source, int(number))) is not None]
    if not images:
        raise InputError(f"no image of the {len(numbers)} that were looked at can be decoded; look at `data.source`")
    pictures = np.stack([_shrunk(image) for image in images])  # [n, 8, 8, 3]
    if np.ptp(pictures, axis=(1, 2)).max() < _LEAST_CONTRAST:
        raise InputError(
            f"every image of the {len(images)} that were looked at has a single colour; look at `data.source`: there "
            "is nothing in them to learn from"
        )
    if len(images) > 1 and np.ptp(pictures, axis=0).max() < _LEAST_CONTRAST:
        raise InputError(
            f"the {len(images)} images that were looked at are one picture many times; look at `data.source`: SwAV "
            "learns by telling images apart"
        )
    return DatasetSummary(source.num_images, round(float(np.median([min(image.shape[:2]) for image in images]))))


def _decoded(source: Source, number: int) -> tf.Tensor | None:
    try:
        return decode.judged(source.read(number))[0]
    except formats.UnusableImageError:
        return None


def _shrunk(image: tf.Tensor) -> np.ndarray:
    """Returns float32 `[8, 8, 3]`."""
    return tf.image.resize(image, [_SIDE_PX, _SIDE_PX], antialias=True).numpy()
