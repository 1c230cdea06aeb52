"""The colours of SwAV's crops equal torchvision's equations in NumPy, with Pillow's rounding."""

import io
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from seer_tf.config import CropsConfig
from seer_tf.data.augment import multicrop, plain_multicrop
from seer_tf.data.sources.builtin import render_image
from tests.references import pillow_color

_SIDE = 48
_ORDERS = list(itertools.permutations(range(4)))
_FACTORS = (0.2, 0.7, 1.0, 1.8)


def _pictures() -> np.ndarray:
    """Returns noise and four pictures, uint8 [5, side, side, 3]."""
    pictures = []
    for number in range(4):
        encoded, _ = render_image("train", number)
        image = Image.open(io.BytesIO(encoded)).convert("RGB").resize((_SIDE, _SIDE))
        pictures.append(np.asarray(image))
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)
    return np.stack([noise, *pictures])


@pytest.mark.parametrize("factor", _FACTORS)
def test_the_equations_equal_pillow_to_the_bit(factor: float) -> None:
    for pixels in _pictures():
        image = Image.fromarray(pixels)
        for ours, theirs in (
            (pillow_color.brightness, ImageEnhance.Brightness),
            (pillow_color.contrast, ImageEnhance.Contrast),
            (pillow_color.saturation, ImageEnhance.Color),
        ):
            np.testing.assert_array_equal(ours(pixels, factor), np.asarray(theirs(image).enhance(factor)))


def test_grey_and_hue_equal_pillow_to_the_bit() -> None:
    for pixels in _pictures():
        image = Image.fromarray(pixels)
        np.testing.assert_array_equal(pillow_color.grayscale(pixels), np.asarray(image.convert("L").convert("RGB")))
        hsv = image.convert("HSV")
        np.testing.assert_array_equal(pillow_color.to_hsv(pixels), np.asarray(hsv))
        np.testing.assert_array_equal(pillow_color.to_rgb(np.asarray(hsv)), np.asarray(hsv.convert("RGB")))


def _draws(num: int) -> tuple[np.ndarray, list[tuple[list[float], tuple[int, ...], bool]]]:
    """Returns random numbers for `distort` [num, 10], without flip and blur, and the factors that they stand for."""
    uniform = np.random.default_rng(3).uniform(size=[num, multicrop.NUM_DISTORTION_DRAWS]).astype(np.float32)
    uniform[:, 0] = uniform[:, 5] = 1.0  # neither flip nor blur
    uniform[:, 1] = 0.0  # always colour jitter
    meaning = []
    for row in uniform.tolist():
        factors = [0.2 + 1.6 * draw for draw in row[7:10]]
        turns = 0.2 * (2 * row[3] - 1)
        meaning.append(([*factors, turns], _ORDERS[int(row[2] * len(_ORDERS))], row[4] < 0.2))
    return uniform, meaning


def _expected(crops: np.ndarray, meaning: list[tuple[list[float], tuple[int, ...], bool]]) -> np.ndarray:
    found = []
    for pixels, (values, order, is_grey) in zip(crops, meaning, strict=True):
        jittered = pillow_color.color_jitter(pixels, values, order)
        found.append(pillow_color.grayscale(jittered) if is_grey else jittered)
    return np.stack(found)


def test_plain_crops_equal_torchvisions_to_the_bit() -> None:
    crops = np.tile(_pictures(), [8, 1, 1, 1])
    uniform, meaning = _draws(len(crops))
    for pixels, row, (values, order, _) in zip(crops, uniform.tolist(), meaning, strict=True):
        jittered = pillow_color.color_jitter(pixels, values, order)
        found = plain_multicrop.color_jitter(Image.fromarray(pixels), CropsConfig(), row[2], row[3], row[7:])
        np.testing.assert_array_equal(np.asarray(found), jittered)


@pytest.mark.parametrize("side", [_SIDE, 2 * _SIDE])
def test_colours_equal_torchvisions_within_its_rounding(side: int) -> None:
    """The crops are small, or large enough for XLA.

    The test fails if two operations are swapped in any of the 24 orders.
    """
    crops = np.tile(_pictures().repeat(side // _SIDE, axis=1).repeat(side // _SIDE, axis=2), [10, 1, 1, 1])
    uniform, meaning = _draws(len(crops))
    found = multicrop.distort(tf.constant(crops), tf.constant(uniform), CropsConfig()).numpy()
    expected = _expected(crops, meaning)
    difference = np.abs(found.astype(float) - expected).reshape(len(crops), -1)
    assert {len({order for _, order, _ in meaning}) > 15, any(grey for *_, grey in meaning)} == {True}
    # Pillow truncates up to one level in each of three operations. Its hue has 256 levels, and the later contrast and
    # saturation enlarge this rounding up to 1.8 * 1.8 times.
    assert difference.mean() < 2.0 and difference.mean(axis=1).max() < 5.0, difference.mean(axis=1)
    others = _expected(crops, [(values, order[::-1], grey) for values, order, grey in meaning])
    assert np.abs(found.astype(float) - others).mean() > 3 * difference.mean()
