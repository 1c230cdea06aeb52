"""The images of the demo: the built-in set or a tree of somebody's own, small, in a training and a test part."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from seer_tf.data.decode import decode_image, exif_orientation
from seer_tf.data.source import Source
from seer_tf.data.sources import open_source
from seer_tf.evaluation.held_out import held_out

SHORTER_SIDE_PX = 96
_TEST_FRACTION = 0.2
_MIN_IMAGES_PER_CLASS = 10
_JPEG_QUALITY = 92


def demo_images(directory: str | None) -> tuple[Source, Source | None]:
    """Opens the images to train on and, where there are labels, those to test on.

    Args:
        directory: a tree of images; None for the built-in set.

    Returns:
        Training images, and test images or None. Of a tree in class folders a fifth of each class is held out for the
        test; with fewer than ten images in some class there is nothing to measure, and the tree counts as unlabelled.

    Raises:
        InputError: the directory is missing or holds no images.
    """
    if directory is None:
        return open_source("builtin"), open_source("builtin:test")
    images = SmallImages(open_source(f"folder:{directory}"))
    if images.labels is None or np.bincount(images.labels).min() < _MIN_IMAGES_PER_CLASS:
        return Part(images, np.arange(images.num_images), labelled=False), None
    test = held_out(images.labels, _TEST_FRACTION)
    return Part(images, np.flatnonzero(~test)), Part(images, np.flatnonzero(test))


class Part(Source):
    """Some of the images of a source."""

    def __init__(self, whole: Source, indices: np.ndarray, *, labelled: bool = True) -> None:
        """`indices` are the images' numbers in `whole`, int [n]."""
        self._whole, self._indices = whole, indices
        self.ids = [whole.ids[index] for index in indices]
        self.class_names = whole.class_names if labelled else None

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 [n]; None without classes."""
        return None if self.class_names is None or self._whole.labels is None else self._whole.labels[self._indices]

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of image `index`."""
        return self._whole.read(int(self._indices[index]))


class SmallImages(Source):
    """The images of a source, large ones made smaller and turned upright.

    The demo's crops are of 32 px. Photographs of many megapixels would be decoded again and again only to be shrunk.
    """

    def __init__(self, whole: Source) -> None:
        """Wraps `whole`."""
        self._whole = whole
        self.ids, self.class_names = whole.ids, whole.class_names

    @property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 [n]; None without classes."""
        return self._whole.labels

    def read(self, index: int) -> bytes:
        """Returns image `index`; as it is where it is small, or cannot be read, which is for others to report."""
        encoded = self._whole.read(index)
        try:
            with Image.open(io.BytesIO(encoded)) as image:
                if min(image.size) <= SHORTER_SIDE_PX:
                    return encoded
                return _smaller(image)
        except Exception:  # Pillow raises nearly anything on a broken file
            return encoded


def pictures(source: Source) -> list[np.ndarray]:
    """Returns the images of a source to look at, uint8 [h, w, 3] each."""
    encoded = [source.read(index) for index in range(source.num_images)]
    return [decode_image(tf.constant(image), exif_orientation(image)).numpy() for image in encoded]


def _smaller(image: Image.Image) -> bytes:
    scale = SHORTER_SIDE_PX / min(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    image.draft("RGB", (2 * size[0], 2 * size[1]))  # a JPEG can be decoded at a fraction of its size
    small = ImageOps.exif_transpose(image.convert("RGB").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=_JPEG_QUALITY)
    return encoded.getvalue()
