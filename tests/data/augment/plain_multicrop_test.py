"""The fast multi-crop gives the crops of the plain multi-crop for the same random numbers."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.config import CropsConfig
from seer_tf.data.augment import multicrop
from seer_tf.data.augment.plain_multicrop import plain_multicrop, random_box, turn_hue

_CROPS = CropsConfig(num=(2, 4), sizes_px=(32, 16))  # the published settings with smaller sizes
_NOTHING: dict[str, float] = dict.fromkeys(
    ("flip_probability", "color_jitter_probability", "grayscale_probability", "blur_probability"), 0.0
)


def _photo(width: int = 120, height: int = 90) -> Image.Image:
    coarse = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def _uniform(crops: CropsConfig, seed: tf.Tensor) -> np.ndarray:
    num_draws = multicrop.NUM_BOX_DRAWS + multicrop.num_distortion_draws(crops)
    return tf.random.stateless_uniform([sum(crops.num), num_draws], seed).numpy()


def _differences(crops: CropsConfig, seed: int) -> np.ndarray:
    """Returns the mean difference between fast and plain multi-crop for each crop, in levels, `[V]`."""
    photo, key = _photo(), tf.constant([7, seed])
    fast = [crop for group in multicrop.multicrop(tf.constant(np.asarray(photo)), crops, key) for crop in group.numpy()]
    plain = [np.asarray(crop) for crop in plain_multicrop(photo, crops, _uniform(crops, key))]
    assert [crop.shape for crop in plain] == [crop.shape for crop in fast]
    return np.array([np.abs(a.astype(int) - b).mean() for a, b in zip(fast, plain, strict=True)])


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        (_NOTHING, 0.5),
        ({**_NOTHING, "interpolation": "bicubic"}, 0.5),
        ({**_NOTHING, "flip_probability": 0.5}, 0.5),
        ({**_NOTHING, "grayscale_probability": 0.5}, 0.6),
        ({**_NOTHING, "blur_probability": 0.5}, 1.0),
        ({**_NOTHING, "solarize_probability": 0.5}, 0.6),
        ({**_NOTHING, "view_blur_probabilities": (1.0, 0.1), "view_solarize_probabilities": (0.0, 0.2, 0.9)}, 1.0),
        ({**_NOTHING, "color_jitter_probability": 1.0, "hue": 0.0}, 2.5),
        ({**_NOTHING, "color_jitter_probability": 1.0, "hue": 0.0, "brightness": 1.6}, 2.5),
        # Pillow rounds to whole levels after each operation, and the hue to 256 steps.
        ({}, 4.0),
    ],
    ids=["boxes", "bicubic", "flip", "greyscale", "blur", "solarize", "views", "jitter", "strong jitter", "all"],
)
def test_fast_crops_equal_plain_crops(changes: dict[str, Any], limit: float) -> None:
    crops = dataclasses.replace(_CROPS, **changes)
    differences = np.concatenate([_differences(crops, seed) for seed in range(4)])
    assert differences.max() < limit, differences.round(2)


@pytest.mark.parametrize(("width", "height"), [(120, 90), (31, 200), (900, 30)])
def test_fast_boxes_equal_plain_boxes(width: int, height: int) -> None:
    uniform = tf.random.stateless_uniform([200, multicrop.NUM_BOX_DRAWS], [5, 6])
    low, high = np.full(200, 0.3, np.float32), np.full(200, 1.0, np.float32)
    corners, sizes = multicrop.random_boxes(tf.constant([height, width]), low, high, uniform)
    fast = np.concatenate([corners[:, ::-1], (corners + sizes)[:, ::-1]], axis=1)
    plain = np.array([random_box(width, height, 0.3, 1.0, row) for row in uniform.numpy().tolist()])
    # float32 may round a product near a half or near a whole number to the other side.
    assert np.abs(fast - plain).max() <= 1 and (fast != plain).mean() < 0.01


@pytest.mark.parametrize(("turns", "hue"), [(0.0, 0), (0.25, 63), (-0.25, 193), (-0.5, 129), (1.0, 255)])
def test_the_hue_turns_round_the_colour_circle(turns: float, hue: int) -> None:
    """A full turn has 255 steps and is truncated to whole steps, as in torchvision."""
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    expected = Image.new("HSV", (1, 1), (hue, 255, 255)).convert("RGB")
    assert turn_hue(red, turns).getpixel((0, 0)) == expected.getpixel((0, 0))
