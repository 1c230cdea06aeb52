"""Multi-crop (SwAV, section 3.4): one image becomes its crops, all from that image, each distorted for itself.

Order and parameters are those of VISSL's `multicrop_2x224_4x96` transforms: `RandomResizedCrop`, flip, colour jitter
and greyscale, Gaussian blur. All chance of a crop is one row of uniform numbers, so that a crop is a function of (seed,
image, row) whether it is made alone, in a batch, eagerly or in a graph. `cut` works on one image, because images differ
in size; `distort` works on any number of crops of one size at once.

    N crops of one size, S side in px, B images
"""

import itertools
import math

import numpy as np
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data import augment

_NUM_TRIES = 10
_LONGEST_ASPECT = 4.0 / 3.0
_LOG_ASPECTS = (-math.log(_LONGEST_ASPECT), math.log(_LONGEST_ASPECT))
NUM_BOX_DRAWS = 2 * _NUM_TRIES + 2
NUM_DISTORTION_DRAWS = 10


def multicrop(image: tf.Tensor, crops: CropsConfig, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns the crops of an image, one tensor per group, uint8 `[num, side, side, 3]`.

    Args:
        image: uint8 `[h, w, 3]`.
        crops: which crops, and how they are distorted.
        seed: integer `[2]`; the same seed gives the same crops.
    """
    groups, chances = cut(image, crops, seed)
    return tuple(distort(group, chance, crops) for group, chance in zip(groups, chances, strict=True))


def cut(image: tf.Tensor, crops: CropsConfig, seed: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
    """Cuts and resizes the crops of an image, and draws the numbers that `distort` needs.

    Args:
        image: uint8 `[h, w, 3]`.
        crops: which crops.
        seed: integer `[2]`.

    Returns:
        Per group: crops, uint8 `[num, side, side, 3]`; uniform numbers, float32 `[num, NUM_DISTORTION_DRAWS]`.
    """
    uniform = tf.random.stateless_uniform([sum(crops.num), NUM_BOX_DRAWS + NUM_DISTORTION_DRAWS], seed)
    least, largest = (_per_crop(values, crops) for values in (crops.min_area_fractions, crops.max_area_fractions))
    boxes = random_boxes(tf.shape(image)[:2], least, largest, uniform[:, :NUM_BOX_DRAWS])
    groups = _resized_boxes(image, *boxes, crops)
    chances = tf.split(uniform[:, NUM_BOX_DRAWS:], crops.num)
    return groups, tuple(chances)


def _per_crop(values: tuple[float, ...], crops: CropsConfig) -> np.ndarray:
    """Repeats the value of a group for each of its crops: float32 `[N]` over all groups."""
    return np.repeat(np.array(values, np.float32), crops.num)


def random_boxes(
    image_size: tf.Tensor, min_area_fractions: np.ndarray, max_area_fractions: np.ndarray, uniform: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws boxes as torchvision's `RandomResizedCrop`: ten tries, then the largest central box of allowed aspect.

    Args:
        image_size: int32 `[2]`, height and width in px.
        min_area_fractions: float32 `[N]`, least areas of a box, as fractions of the image's area.
        max_area_fractions: float32 `[N]`, largest.
        uniform: float32 `[N, NUM_BOX_DRAWS]` in [0, 1): areas, aspect ratios, and the place.

    Returns:
        int32 `[N, 2]` twice: top and left, height and width in px.
    """
    size = tf.cast(image_size, tf.float32)  # [2]
    spread = (max_area_fractions - min_area_fractions)[:, None]
    fractions = min_area_fractions[:, None] + uniform[:, :_NUM_TRIES] * spread  # [N, tries]
    log_aspects = _LOG_ASPECTS[0] + uniform[:, _NUM_TRIES : 2 * _NUM_TRIES] * (_LOG_ASPECTS[1] - _LOG_ASPECTS[0])
    # Height and width are sqrt(area / aspect) and sqrt(area * aspect), in logarithms of the square roots.
    halves = log_aspects[:, :, None] * np.array([-0.5, 0.5], np.float32)  # [N, tries, 2]
    sides = tf.round(tf.sqrt(fractions * tf.reduce_prod(size))[:, :, None] * tf.exp(halves))
    fits = tf.reduce_all((sides >= 1.0) & (sides <= size), axis=2)  # [N, tries]
    tried = tf.gather(sides, tf.argmax(fits, axis=1), batch_dims=1)  # [N, 2]
    none_fits = ~tf.reduce_any(fits, axis=1, keepdims=True)  # [N, 1]
    box = tf.where(none_fits, tf.minimum(size, tf.round(size[::-1] * _LONGEST_ASPECT)), tried)
    space = size - box
    place = tf.where(none_fits, space / 2.0, uniform[:, 2 * _NUM_TRIES :] * (space + 1.0))
    corner = tf.minimum(tf.floor(place), space)  # A draw next to one can round up to one.
    return tf.cast(corner, tf.int32), tf.cast(box, tf.int32)


def _resized_boxes(image: tf.Tensor, corner: tf.Tensor, box: tf.Tensor, crops: CropsConfig) -> tuple[tf.Tensor, ...]:
    """Cuts boxes out and resizes them, bilinear with antialias as Pillow: per group, uint8 `[num, side, side, 3]`."""
    batch, sides = image[None], np.repeat(crops.sizes_px, crops.num)
    begins = tf.unstack(tf.pad(corner, [[0, 0], [1, 1]]))  # [1, h, w, 3] begins at 0, top, left, 0
    sizes = tf.unstack(tf.concat([tf.ones_like(box[:, :1]), box, tf.fill([len(sides), 1], 3)], axis=1))
    scales = tf.unstack(sides.astype(np.float32)[:, None] / tf.cast(box, tf.float32))
    resized = [
        tf.raw_ops.ScaleAndTranslate(
            images=tf.slice(batch, begin, size),
            size=[side, side],
            scale=scale,
            translation=[0.0, 0.0],
            kernel_type="triangle",
            antialias=True,
        )
        for begin, size, scale, side in zip(begins, sizes, scales, sides, strict=True)
    ]
    ends = itertools.accumulate(crops.num, initial=0)
    groups = [tf.concat(resized[first:last], axis=0) for first, last in itertools.pairwise(ends)]
    shapes = [(num, side, side, 3) for num, side in zip(crops.num, crops.sizes_px, strict=True)]
    return tuple(
        tf.cast(tf.round(tf.ensure_shape(group, shape)), tf.uint8) for group, shape in zip(groups, shapes, strict=True)
    )


def distort(crops: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Flips, colours and blurs crops, each by its own row of chance.

    Args:
        crops: uint8 `[N, S, S, 3]`.
        uniform: float32 `[N, NUM_DISTORTION_DRAWS]` in [0, 1).
        config: probabilities and strengths.

    Returns:
        uint8 `[N, S, S, 3]`.
    """
    side = crops.shape[1]
    flipped, jittered, order, hue, greyed, blurred, sigma = tf.unstack(uniform[:, :7], axis=1)  # [N]
    crops = augment.flip(crops, flipped < config.flip_probability)
    planes = tf.reshape(tf.transpose(tf.cast(crops, tf.float32), [0, 3, 1, 2]), [-1, 3, side * side])  # [N, 3, P]

    is_jittered = jittered < config.color_jitter_probability
    planes = augment.color_jitter(
        planes,
        factors=tf.where(is_jittered[:, None], _jitter_factors(uniform[:, 7:10], config), 1.0),
        hue_shift=tf.where(is_jittered, config.hue * (2.0 * hue - 1.0), 0.0),
        order=tf.cast(order * augment.NUM_ORDERS, tf.int32),
    )
    planes = augment.grayscale(planes, greyed < config.grayscale_probability)

    low, high = config.blur_min_sigma_px, config.blur_max_sigma_px
    sigma_px = tf.where(blurred < config.blur_probability, low + (high - low) * sigma, 0.0)
    planes = augment.gaussian_blur(tf.reshape(planes, [-1, 3, side, side]), sigma_px, max_sigma_px=high)
    return tf.transpose(tf.cast(tf.round(planes), tf.uint8), [0, 2, 3, 1])


def _jitter_factors(uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Factors `[N, 3]` of brightness, contrast, saturation: uniform in [max(0, 1 - strength), 1 + strength]."""
    strengths = (config.brightness, config.contrast, config.saturation)
    low = tf.constant([max(0.0, 1.0 - strength) for strength in strengths])
    high = tf.constant([1.0 + strength for strength in strengths])
    return low + uniform * (high - low)
