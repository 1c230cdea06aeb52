"""Features of pixels equal the results of NumPy and Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.pixel_features import color_histogram, thumbnail
from seer_tf.errors import InputError
from seer_tf.evaluation.features.pixels import pixel_features


def _images() -> np.ndarray:
    """Returns two images whose colours differ in every channel."""
    low, high = np.array([0, 40, 200]), np.array([256, 90, 256])
    return np.random.default_rng(0).integers(low, high, [2, 20, 24, 3]).astype(np.uint8)


def test_histogram_equals_numpys():
    """The histogram is joint over channels.

    The test fails if channels are swapped or a bin is not 32 levels wide.
    """
    for image, found in zip(_images(), color_histogram(tf.constant(_images())), strict=True):
        counts, _ = np.histogramdd(image.reshape(-1, 3), bins=[np.arange(0, 257, 32)] * 3)
        np.testing.assert_allclose(found, np.sqrt(counts / counts.sum()).ravel(), rtol=1e-6)
        assert np.linalg.norm(found) == pytest.approx(1.0)


def test_histogram_ignores_positions():
    """Shuffled pixels have the same histogram but another thumbnail."""
    images = _images()
    shuffled = np.random.default_rng(1).permutation(images.reshape(2, -1, 3), axis=1).reshape(images.shape)
    np.testing.assert_allclose(color_histogram(tf.constant(shuffled)), color_histogram(tf.constant(images)), rtol=1e-6)
    assert np.abs(thumbnail(tf.constant(shuffled)) - thumbnail(tf.constant(images))).max() > 0.05


def test_thumbnail_equals_pillows_minus_its_mean():
    """The thumbnails differ only by the rounding of Pillow's levels."""
    for image, found in zip(_images(), thumbnail(tf.constant(_images())), strict=True):
        small = np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BILINEAR)) / 255.0
        np.testing.assert_allclose(found, (small - small.mean()).ravel(), atol=1.5 / 255)
        assert float(tf.reduce_mean(found)) == pytest.approx(0.0, abs=1e-6)


def test_an_unknown_name_is_refused():
    """The error names the nearest valid name."""
    with pytest.raises(InputError, match="did you mean 'histogram'"):
        pixel_features("histograms")
