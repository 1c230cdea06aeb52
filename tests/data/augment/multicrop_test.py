"""The crops: their boxes, their resizing, and the frequency of each distortion."""

import dataclasses
import io

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageFilter, ImageOps

from seer_tf.config import CropsConfig
from seer_tf.data.augment import multicrop
from seer_tf.data.images import decode
from tests.references import multicrop as reference

_SMALL = CropsConfig(num=(2, 4), sizes_px=(32, 16))
_PLAIN = dataclasses.replace(
    _SMALL, flip_probability=0.0, color_jitter_probability=0.0, grayscale_probability=0.0, blur_probability=0.0
)
_NUM_DRAWS = 10_000


def _photo(height: int = 60, width: int = 90) -> np.ndarray:
    """A smooth image with some grain."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 9, 3), np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth) + rng.integers(-12, 13, (height, width, 3)), 0, 255).astype(np.uint8)


def _boxes(height, width, low, high, num=_NUM_DRAWS):
    uniform = tf.random.stateless_uniform([num, multicrop.NUM_BOX_DRAWS], [5, 6])
    least, largest = np.full(num, low, np.float32), np.full(num, high, np.float32)
    return np.concatenate(multicrop.random_boxes(tf.constant([height, width]), least, largest, uniform), axis=1)


@pytest.mark.parametrize(
    ("height", "width", "low", "high"),
    [(300, 400, 0.14, 1.0), (300, 400, 0.05, 0.14), (32, 32, 0.05, 0.14), (40, 200, 0.3, 1.0), (500, 20, 0.5, 1.0)],
)
def test_boxes_have_the_distribution_of_torchvision(height, width, low, high):
    ours = _boxes(height, width, low, high)
    theirs = reference.random_boxes(_NUM_DRAWS, height, width, low, high)
    top, left, h, w = ours.T
    assert (top >= 0).all() and (left >= 0).all() and (h >= 1).all() and (w >= 1).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    measures = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 3] / b[:, 2],
        "centre row": lambda b: b[:, 0] + b[:, 2] / 2,
        "left": lambda b: b[:, 1],
    }
    for name, measure in measures.items():
        # Two samples of 10,000 from one distribution differ by less than 0.0276 in 999 of 1000 cases.
        assert scipy.stats.ks_2samp(measure(ours), measure(theirs)).statistic < 0.0276, name


def test_area_fractions_set_the_areas_of_boxes():
    areas = np.prod(_boxes(300, 300, 0.05, 0.14)[:, 2:], axis=1) / 300**2
    assert abs(areas.mean() - 0.095) < 0.002
    assert 0.047 < areas.min() and areas.max() < 0.143


@pytest.mark.parametrize(("size", "expected"), [((10, 100), (0, 43, 10, 13)), ((100, 10), (43, 0, 13, 10))])
def test_an_image_that_is_too_long_for_all_tries_gives_its_centre(size, expected):
    assert (_boxes(size[0], size[1], 0.9, 1.0, num=20) == expected).all()


def test_resized_crops_equal_pillows_within_one_level():
    image = _photo()
    drawn = multicrop.draw(tf.constant([image.shape[:2]]), _PLAIN, tf.constant([[1, 2]]))
    corners, sides = drawn.corners[0], drawn.boxes[0]
    groups = multicrop.multicrop(tf.constant(image), _PLAIN, tf.constant([1, 2]))
    crops = [crop for group in groups for crop in group.numpy()]
    for crop, (top, left), (height, width) in zip(crops, corners.numpy(), sides.numpy(), strict=True):
        part = Image.fromarray(image[top : top + height, left : left + width])
        expected = np.asarray(part.resize(crop.shape[:2], Image.Resampling.BILINEAR), np.int32)
        assert np.abs(crop - expected).max() <= 1


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_photos_are_shrunk_while_they_are_decoded(orientation):
    """The crops differ from Pillow's resize of the whole image by at most two levels on average and twenty anywhere."""
    photo = Image.fromarray(_photo(150, 225)).resize((1800, 1200), Image.Resampling.BICUBIC)
    encoded = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(encoded, "JPEG", quality=95, exif=exif)
    config = dataclasses.replace(_PLAIN, sizes_px=(150, 48))
    upright = ImageOps.exif_transpose(Image.open(encoded)).convert("RGB")
    shrinks = set()
    for number in range(8):
        drawn = multicrop.draw(tf.constant([upright.size[::-1]]), config, tf.constant([[1, number]]))
        image = decode.decode_image(encoded.getvalue(), orientation, drawn.shrink[0])
        ratio = multicrop.RATIOS[int(drawn.shrink[0])]
        shrinks.add(ratio)
        assert max(image.shape) == 1800 // ratio
        groups = multicrop.cut(image, config, drawn.corners[0], drawn.boxes[0], ratio)
        crops = [crop.numpy() for group in groups for crop in group]
        boxes = np.concatenate([drawn.corners[0], drawn.corners[0] + drawn.boxes[0]], axis=1)
        for crop, (top, left, bottom, right) in zip(crops, boxes.tolist(), strict=True):
            assert min(bottom - top, right - left) >= 2 * ratio * len(crop) or ratio == 1
            part = upright.crop((left, top, right, bottom))
            expected = np.asarray(part.resize(crop.shape[:2], Image.Resampling.BILINEAR), int)
            assert np.abs(crop - expected).mean() < 2 and np.abs(crop - expected).max() <= 20
    assert len(shrinks) > 1


def test_groups_have_the_configured_numbers_and_sizes():
    crops = CropsConfig(
        num=(1, 3, 2), sizes_px=(40, 24, 8), min_area_fractions=(0.3, 0.1, 0.05), max_area_fractions=(1.0, 0.3, 0.1)
    )
    groups = multicrop.multicrop(tf.constant(_photo()), crops, tf.constant([0, 0]))
    assert [group.shape for group in groups] == [(1, 40, 40, 3), (3, 24, 24, 3), (2, 8, 8, 3)]
    assert {group.dtype for group in groups} == {tf.uint8}


def test_the_same_seed_gives_the_same_crops_and_another_seed_gives_others():
    image = tf.constant(_photo())
    first, again, other = (multicrop.multicrop(image, _SMALL, tf.constant([4, seed])) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert (a.numpy() == b.numpy()).all()
        assert (a.numpy() != c.numpy()).mean() > 0.5
    assert (first[1][0].numpy() != first[1][1].numpy()).mean() > 0.5  # the crops of one image differ


def test_eager_equals_a_map_and_one_image_equals_a_batch():
    image = tf.constant(_photo())
    seeds = tf.constant([[9, number] for number in range(4)])
    eager = [multicrop.multicrop(image, _SMALL, seed) for seed in seeds]
    mapped = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: multicrop.multicrop(image, _SMALL, seed))
    drawn = multicrop.draw(tf.tile(tf.shape(image)[None, :2], [4, 1]), _SMALL, seeds)
    cuts = [multicrop.cut(image, _SMALL, *places) for places in zip(drawn.corners, drawn.boxes, strict=True)]
    for group in range(2):
        crops = tf.concat([cut[group] for cut in cuts], axis=0)
        chances = tf.reshape(tf.split(drawn.chances, _SMALL.num, axis=1)[group], [len(crops), -1])
        batch = multicrop.distort(crops, chances, _SMALL).numpy().astype(int)
        alone = np.concatenate([groups[group] for groups in eager]).astype(int)
        graph = np.concatenate([groups[group] for groups in mapped]).astype(int)
        # Compilers may fuse a product and a sum. A value between two levels may then change by one level.
        assert np.abs(batch - alone).max() <= 1 and (batch != alone).mean() < 1e-3
        assert np.abs(graph - alone).max() <= 1 and (graph != alone).mean() < 1e-3


def test_compiled_crops_equal_crops_that_are_not_compiled():
    """XLA compiles crops of 64 px and more.

    XLA may fuse a product and a sum, which changes a value by one level at most.
    """
    crops = np.stack([_photo(72, 72), _photo(80, 72)[:72]] * 8)
    chances = tf.random.stateless_uniform([16, multicrop.NUM_DISTORTION_DRAWS], [3, 1])
    compiled = multicrop.distort(tf.constant(crops), chances, _SMALL).numpy().astype(int)
    flip, color_and_blur = multicrop._functions(_SMALL, False)
    flipped = flip(tf.constant(crops), chances)
    plain = color_and_blur(flipped, chances).numpy().astype(int)
    assert np.abs(compiled - plain).max() <= 1 and (compiled != plain).mean() < 1e-3


def test_crops_made_one_by_one_equal_those_made_together():
    crops = np.stack([_photo(72, 72), _photo(80, 72)[:72]] * 8)
    chances = tf.random.stateless_uniform([16, multicrop.NUM_DISTORTION_DRAWS], [3, 1])
    alone = multicrop.distort_one_by_one(tf.constant(crops), chances, _SMALL).numpy().astype(int)
    together = multicrop.distort(tf.constant(crops), chances, _SMALL).numpy().astype(int)
    assert np.abs(alone - together).max() <= 1 and (alone != together).mean() < 1e-3


def test_solarisation_changes_no_other_random_number():
    """Crops of earlier versions stay the same without solarisation. Large and small crops are solarised alike."""
    assert multicrop.num_distortion_draws(_SMALL) == multicrop.NUM_DISTORTION_DRAWS
    crops = np.stack([_photo(72, 72), _photo(80, 72)[:72]] * 8)
    config = dataclasses.replace(_PLAIN, solarize_probability=0.5)
    chances = tf.random.stateless_uniform([16, multicrop.num_distortion_draws(config)], [3, 1])
    alone = multicrop.distort_one_by_one(tf.constant(crops), chances, config).numpy()
    together = multicrop.distort(tf.constant(crops), chances, config).numpy()
    expected = np.where(crops < 128, crops, 255 - crops)
    solarized = (chances[:, 10] < 0.5).numpy()
    for found in (alone, together):
        np.testing.assert_array_equal(found, np.where(solarized[:, None, None, None], expected, crops))
    assert 0 < solarized.sum() < 16


@pytest.mark.parametrize("batch", [(), (3,)])
def test_each_view_has_its_own_probabilities(batch: tuple[int, ...]) -> None:
    views = dataclasses.replace(
        _PLAIN, num=(2, 2), view_blur_probabilities=(0.0, 1.0), view_solarize_probabilities=(1.0, 0.0, 1.0)
    )
    groups = tuple(tf.constant(np.broadcast_to(_photo(side, side), [*batch, 2, side, side, 3])) for side in (32, 16))
    chances = tf.random.stateless_uniform([*batch, 4, multicrop.num_distortion_draws(views)], [3, 1])
    large, small = (group.numpy() for group in multicrop.distort_groups(groups, chances, views, one_by_one=False))
    inverted = [np.where(group < 128, group, 255 - group) for group in map(np.asarray, groups)]
    np.testing.assert_array_equal(large[..., 0, :, :, :], inverted[0][..., 0, :, :, :])
    assert (large[..., 1, :, :, :] != groups[0][..., 1, :, :, :]).numpy().mean() > 0.1  # blurred
    np.testing.assert_array_equal(small[..., 0, :, :, :], inverted[1][..., 0, :, :, :])
    np.testing.assert_array_equal(small[..., 1, :, :, :], groups[1][..., 1, :, :, :])


def _distorted(crops: np.ndarray, config: CropsConfig, seed: int = 0) -> np.ndarray:
    chances = tf.random.stateless_uniform([len(crops), multicrop.num_distortion_draws(config)], [seed, 1])
    return multicrop.distort(tf.constant(crops), chances, config).numpy().astype(np.float64)


def _fraction(changed: np.ndarray, expected: float) -> None:
    """Checks that a measured fraction is within four standard errors of the expected fraction."""
    assert abs(changed.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / len(changed))


def test_each_distortion_happens_as_often_as_configured():
    crops = np.repeat(_photo(8, 8)[None], _NUM_DRAWS, axis=0)

    def changed(**probabilities):
        return (_distorted(crops, dataclasses.replace(_PLAIN, **probabilities)) != crops).any(axis=(1, 2, 3))

    _fraction(changed(flip_probability=0.5), 0.5)
    _fraction(changed(grayscale_probability=0.2), 0.2)
    _fraction(changed(color_jitter_probability=0.8), 0.8)
    _fraction(changed(solarize_probability=0.2), 0.2)
    blurred = changed(blur_probability=0.5, blur_min_sigma_px=0.5)
    _fraction(blurred, 0.5)
    assert not changed().any()


def test_factors_are_uniform_as_in_color_jitter():
    """A crop of one colour shows its factor.

    Contrast and saturation do not change a grey crop, so each factor is tested alone.
    """
    only = dataclasses.replace(
        _PLAIN, color_jitter_probability=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0
    )
    grey = np.full((_NUM_DRAWS, 4, 4, 3), 128, np.uint8)
    factors = _distorted(grey, dataclasses.replace(only, brightness=0.8))[:, 0, 0, 0] / 128
    assert scipy.stats.kstest(factors, "uniform", (0.2, 1.6)).statistic < 0.025

    colored = np.full((_NUM_DRAWS, 4, 4, 3), (120, 100, 100), np.uint8)
    spread = _distorted(colored, dataclasses.replace(only, saturation=0.8))[:, 0, 0]
    factors = (spread[:, 0] - spread[:, 1]) / 20
    assert abs(factors.mean() - 1.0) < 0.03 and abs(factors.std() - 1.6 / np.sqrt(12)) < 0.03

    halves = np.full((_NUM_DRAWS, 4, 4, 3), 110, np.uint8)
    halves[:, :2] = 150
    contrasts = _distorted(halves, dataclasses.replace(only, contrast=0.8))
    factors = (contrasts[:, 0, 0, 0] - contrasts[:, 3, 0, 0]) / 40
    assert abs(factors.mean() - 1.0) < 0.03 and abs(factors.std() - 1.6 / np.sqrt(12)) < 0.03

    red = np.full((_NUM_DRAWS, 4, 4, 3), (200, 0, 0), np.uint8)
    turned = _distorted(red, dataclasses.replace(only, hue=0.2))[:, 0, 0] / 200
    # Within a fifth of the circle from red, one other channel shows the hue.
    hues = np.where(turned[:, 1] > 0, turned[:, 1], -turned[:, 2])
    assert abs((np.abs(hues) < 0.6).mean() - 0.5) < 0.02  # |hue| is below 0.1 turns
    assert abs(np.sign(hues).mean()) < 0.04


def test_blur_sigma_is_uniform():
    """The crop is a white line on black. Its peak after a blur is known and falls as sigma grows."""
    line = np.zeros((2000, 15, 15, 3), np.uint8)
    line[:, :, 7] = 255
    config = dataclasses.replace(_PLAIN, blur_probability=1.0)
    peaks = _distorted(line, config)[:, 7, 7, 0]
    for sigma in (0.6, 1.05, 1.6):
        blurred = Image.fromarray(line[0]).filter(ImageFilter.GaussianBlur(sigma))
        expected = (sigma - 0.1) / 1.9
        assert abs((peaks > np.asarray(blurred)[7, 7, 0]).mean() - expected) < 0.05
