"""The evaluation's transform equals Pillow's, within a largest difference and a fraction of differing pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images import transform
from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.models import Encoder
from seer_tf.models.backbones.regnet.published import PUBLISHED

_PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_LARGEST_DIFFERENCE = 1  # in levels, of 255
_DIFFERING_PIXELS = 0.05  # as a fraction of all pixels


def _noise(height: int, width: int) -> np.ndarray:
    """Returns the hardest image for an interpolation: all pixels are independent, so bicubic overshoots everywhere."""
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def _resized(image: np.ndarray, shorter_px: int, interpolation: str) -> Image.Image:
    """Resizes a Pillow image as torchvision does: the longer side is truncated to whole pixels."""
    shorter = min(image.shape[:2])
    size = (image.shape[1] * shorter_px // shorter, image.shape[0] * shorter_px // shorter)
    return Image.fromarray(image).resize(size, _PILLOW[interpolation])


def _centre(image: Image.Image, side: int) -> np.ndarray:
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return np.asarray(image.crop((left, top, left + side, top + side)))


def _assert_equal(found: tf.Tensor, expected: np.ndarray) -> None:
    difference = np.abs(found.numpy().astype(int) - expected.astype(int))
    assert difference.max() <= _LARGEST_DIFFERENCE
    assert (difference > 0).mean() <= _DIFFERING_PIXELS


@pytest.mark.parametrize(("height", "width"), [(60, 90), (91, 61), (40, 40), (300, 200)])
@pytest.mark.parametrize(
    ("transform", "shorter_px"),
    [(Transform(56), 64), (Transform(56, 56, "bicubic"), 56), (Transform(48, 64, "bicubic"), 64)],
)
def test_resize_and_centre_crop_equal_pillows_within_one_level(transform, shorter_px, height, width):
    """Few pixels differ, and by one level.

    The test fails with one pass for both axes (20 levels), or with an offset of half a pixel.
    """
    image = _noise(height, width)
    expected = _centre(_resized(image, shorter_px, transform.interpolation), transform.size_px)
    _assert_equal(transform(tf.constant(image)), expected)


@pytest.mark.parametrize("model", PUBLISHED, ids=lambda model: f"{model.variant}-{model.input_size_px}px")
def test_the_input_of_a_published_model_equals_pillows_within_one_level(model):
    """The normalised values differ by at most 0.0176, which is one level.

    The settings for 384 px are in the SEER README's `tricks_384_swav.yaml`.
    """
    image = _noise(410, 500)
    transform = Transform(model.input_size_px, model.resize_px, model.interpolation)
    found = tf.function(transform)(tf.constant(image))
    expected = _centre(_resized(image, model.resize_px, model.interpolation), model.input_size_px)
    _assert_equal(found, expected)
    mean, std = np.array(model.mean), np.array(model.std)
    encoder = Encoder()
    encoder.backbone, encoder.mean, encoder.std = keras.layers.Identity(), model.mean, model.std
    assert np.abs(encoder.normalize(found) - (expected / 255 - mean) / std).max() < 0.0176


def test_squashing_keeps_the_whole_image():
    """VISSL's transform for VOC07 resizes the shorter side to 64 px, then the whole image to a square."""
    image = _noise(50, 93)
    expected = np.asarray(_resized(image, 64, "bilinear").resize((56, 56), _PILLOW["bilinear"]))
    _assert_equal(Transform(56, squash=True)(tf.constant(image)), expected)


def test_squashing_at_once_resizes_once():
    """VISSL's transform for CLEVR and SUN397 is `Resize(size=[56, 56])` alone; two steps give other pixels."""
    image = _noise(50, 93)
    expected = np.asarray(Image.fromarray(image).resize((56, 56), _PILLOW["bilinear"]))
    transform = Transform(56, squash=True, at_once=True)
    _assert_equal(transform(tf.constant(image)), expected)
    assert (
        transform(tf.constant(image)).numpy() != Transform(56, squash=True)(tf.constant(image)).numpy()
    ).mean() > 0.5
    assert str(transform) == "squeezed into 56 px at once (bilinear)"


def test_squashing_a_thin_strip_does_not_enlarge_it_lengthwise(monkeypatch):
    """No intermediate image is longer than the original, or longer than 16 times its new width."""
    sizes, original = [], transform.resize

    def noted(image: tf.Tensor, size: tf.Tensor, window: tf.Tensor, interpolation: str) -> tf.Tensor:
        sizes.append(size.numpy().tolist())
        return original(image, size, window, interpolation)

    monkeypatch.setattr(transform, "resize", noted)
    for length in (900, 200, 70):
        Transform(28, squash=True)(tf.constant(_noise(4, length)))
    assert sizes[::2] == [[32, 900], [32, 512], [32, 512]]


def test_a_crop_that_is_larger_than_the_resized_image_is_refused():
    """A centre crop would have black borders. With squashing, the image is enlarged."""
    with pytest.raises(InputError, match="no square of 384 px can be cut .* becomes 256 px"):
        Transform(384, 256)
    assert Transform(384, 256, squash=True)(tf.constant(_noise(50, 93))).shape == (384, 384, 3)


def test_an_image_of_the_right_size_stays_as_it_is_unless_a_resize_is_asked_for():
    """A released network always resizes to 256 px first, as torchvision does."""
    image = _noise(56, 56)
    assert (Transform(56)(tf.constant(image)).numpy() == image).all()
    _assert_equal(Transform(56, 67)(tf.constant(image)), _centre(_resized(image, 67, "bilinear"), 56))
