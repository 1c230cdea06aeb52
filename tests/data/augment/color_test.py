"""Each colour operation gives the result of Pillow. The images are noise, on which errors are largest."""

import colorsys
import io
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from seer_tf.data.augment import color
from seer_tf.data.sources.builtin import render_image

_SIDE = 24
_ORDERS = list(itertools.permutations(range(4)))


def _noise(num: int = 3, side: int = _SIDE) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (num, side, side, 3), np.uint8)


def _to_planes(crops: np.ndarray) -> tf.Tensor:
    return tf.constant(np.moveaxis(crops, 3, 1).reshape(len(crops), 3, -1), tf.float32)


def _from_planes(planes: tf.Tensor, side: int = _SIDE) -> np.ndarray:
    return np.moveaxis(np.rint(planes.numpy()).reshape(-1, 3, side, side), 1, 3)


def _jitter(crops, factors=(1.0, 1.0, 1.0), hue=0.0, order=(0, 1, 2, 3)):
    num = len(crops)
    planes = color.color_jitter(
        _to_planes(crops),
        tf.constant([factors] * num, tf.float32),
        tf.fill([num], float(hue)),
        tf.fill([num], _ORDERS.index(tuple(order))),
    )
    return _from_planes(planes)


def _pillow(crops, operation):
    return np.stack([np.asarray(operation(Image.fromarray(crop))) for crop in crops]).astype(np.float64)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.8])
@pytest.mark.parametrize(
    ("number", "enhancer"), [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)]
)
def test_brightness_contrast_and_saturation_equal_pillows_within_one_level(number, enhancer, factor):
    crops = _noise()
    crops[1] //= 3  # a dark crop, so its mean grey differs from the mean of the batch
    factors = [1.0, 1.0, 1.0]
    factors[number] = factor
    expected = _pillow(crops, lambda image: enhancer(image).enhance(factor))
    assert np.abs(_jitter(crops, factors) - expected).max() <= 1


@pytest.mark.parametrize("shift", [-0.2, 0.0, 0.1, 0.5])
def test_hue_turns_the_colour_circle_and_keeps_value_and_saturation(shift):
    crops = _noise()

    def turned(pixel):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel / 255.0)
        return 255.0 * np.array(colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, value))

    expected = np.apply_along_axis(turned, 3, crops.astype(np.float64))
    assert np.abs(_jitter(crops, hue=shift) - expected).max() <= 0.51


def test_hue_equals_pillows_within_the_eight_bits_of_its_hsv():
    crops = _noise()

    def turned(image):
        planes = np.array(image.convert("HSV"))
        planes[..., 0] += np.uint8(51)  # 0.2 of 255, as in torchvision
        bands = [Image.fromarray(planes[..., channel]) for channel in range(3)]
        return Image.merge("HSV", bands).convert("RGB")

    difference = np.abs(_jitter(crops, hue=0.2) - _pillow(crops, turned))
    assert difference.max() <= 12
    assert difference.mean() < 1.5


def test_hue_of_grey_changes_nothing():
    crops = np.broadcast_to(np.arange(0, 240, 10).astype(np.uint8)[None, None, :, None], (1, _SIDE, _SIDE, 3)).copy()
    assert (_jitter(crops, hue=0.3) == crops).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
def test_operations_are_applied_in_the_given_order(order):
    crops = _noise() // 2 + 60
    brightness, contrast, saturation, hue = 1.5, 0.4, 1.7, 0.1
    blends = {
        0: lambda image: ImageEnhance.Brightness(image).enhance(brightness),
        1: lambda image: ImageEnhance.Contrast(image).enhance(contrast),
        2: lambda image: ImageEnhance.Color(image).enhance(saturation),
        3: lambda image: Image.fromarray(_jitter(np.asarray(image)[None], hue=hue)[0].astype(np.uint8)),
    }

    def all_four(image):
        for operation in order:
            image = blends[operation](image)
        return image

    result = _jitter(crops, (brightness, contrast, saturation), hue, order)
    difference = np.abs(result - _pillow(crops, all_four))
    assert difference.max() <= 6  # Pillow truncates to whole levels four times
    assert difference.mean() < 1.6
    assert np.abs(result - _jitter(crops, (brightness, contrast, saturation), hue, order[::-1])).max() > 20


def test_each_crop_has_its_own_factors_and_order():
    crops = _noise(4)
    factors = tf.constant([[0.5, 1.2, 0.3], [1.5, 0.2, 1.0], [1.0, 1.8, 1.8], [0.9, 0.9, 0.1]])
    hue, order = tf.constant([0.1, -0.2, 0.0, 0.2]), tf.constant([0, 7, 13, 23])
    together = color.color_jitter(_to_planes(crops), factors, hue, order)
    for row in range(4):
        one = slice(row, row + 1)
        alone = color.color_jitter(_to_planes(crops[one]), factors[one], hue[one], order[one])
        np.testing.assert_allclose(together[one], alone, atol=1e-3)


def test_grayscale_of_chosen_crops_equals_pillows_within_one_level():
    crops = _noise(2)
    result = _from_planes(color.grayscale(_to_planes(crops), tf.constant([True, False])))
    expected = _pillow(crops[:1], lambda image: ImageOps.grayscale(image).convert("RGB"))
    assert np.abs(result[:1] - expected).max() <= 1
    assert (result[1] == crops[1]).all()


def test_flip_mirrors_chosen_crops_from_left_to_right():
    crops = _noise(2)
    result = color.flip(tf.constant(crops), tf.constant([True, False])).numpy()
    assert (result[0] == _pillow(crops[:1], ImageOps.mirror)[0]).all()
    assert (result[1] == crops[1]).all()


def test_solarisation_of_chosen_crops_equals_pillows():
    crops = np.tile(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), [2, 1, 1, 3])
    planes = tf.reshape(_to_planes(crops), [2, 3, 16, 16])
    result = _from_planes(color.solarize(planes, tf.constant([True, False])), 16)
    np.testing.assert_array_equal(result[0], _pillow(crops[:1], ImageOps.solarize)[0])
    np.testing.assert_array_equal(result[1], crops[1])


@pytest.mark.parametrize("side", [5, 16, 40])
@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.0, 2.0])
def test_blur_equals_pillows_within_three_levels(side, sigma):
    crops = _noise(2, side)
    planes = tf.reshape(_to_planes(crops), [2, 3, side, side])
    blurred = color.gaussian_blur(planes, tf.constant([sigma, 0.0]), max_sigma_px=2.0)
    expected = _pillow(crops[:1], lambda image: image.filter(ImageFilter.GaussianBlur(sigma)))
    difference = np.abs(_from_planes(blurred[:1], side) - expected)
    assert difference.max() <= 3  # Pillow rounds after each of six passes
    assert difference.mean() < 1.1
    np.testing.assert_allclose(_from_planes(blurred[1:], side)[0], crops[1])


@pytest.mark.parametrize("sigma", [0.1, 0.7, 1.0, 1.5, 2.0])
def test_sliding_blur_equals_pillows_within_three_levels_except_at_the_edge(sigma):
    """The crops are noise and a picture. From sigma 0.7 on, the picture's edge differs by more than three levels."""
    encoded, _ = render_image("train", 6)
    picture = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))[:40, :40]
    crops = np.stack([_noise(1, 40)[0], picture, picture])
    planes = tf.reshape(_to_planes(crops), [3, 3, 40, 40])
    blurred = _from_planes(color.sliding_blur(planes, tf.constant([sigma, sigma, 0.0]), max_sigma_px=2.0), 40)
    expected = _pillow(crops[:2], lambda image: image.filter(ImageFilter.GaussianBlur(sigma)))
    difference = np.abs(blurred[:2] - expected)
    assert difference[:, 3:-3, 3:-3].max() <= 3 and difference.max() <= 40
    assert (difference[1].max() > 3) == (sigma >= 0.7)
    np.testing.assert_allclose(blurred[2], picture, atol=1)
