"""Multi-crop (SwAV, section 3.4), fast: several crops of one image, each distorted independently.

Read `plain_multicrop.py` first: it makes the same crops one after another in 25 lines, and a test compares the two.

One row of uniform random numbers determines a crop, so a crop is a function of (seed, image, row), whether it is made
alone or in a batch, eagerly or in a graph. Three functions make the crops: `draw` for several images at once, before
they are decoded; `cut` for one image, because images differ in size; `distort` for any number of crops of one size.

    N crops of one size, V crops of an image in all, S side in px, n images
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.data.augment import color

_NUM_TRIES = 10
_LONGEST_ASPECT = 4.0 / 3.0
_LOG_ASPECTS = (-math.log(_LONGEST_ASPECT), math.log(_LONGEST_ASPECT))
NUM_BOX_DRAWS = 2 * _NUM_TRIES + 2
NUM_DISTORTION_DRAWS = 10
#: Ratios by which a JPEG can be shrunk while it is decoded.
RATIOS = (1, 2, 4, 8)
# The shrunk box still has at least this number of pixels per pixel of the crop in each direction, as in Pillow's
# `thumbnail`.
_LEAST_GAP = 2.0
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
# Measured: one resizing per direction takes half as long as a single one for large crops, and longer for small ones.
_TWO_PASSES_FROM_PX = 128
# Measured: XLA distorts large crops several times as fast; compilation takes one or two seconds.
_COMPILED_FROM_PX = 64


class Draws(NamedTuple):
    """Everything random about the crops of some images.

    Attributes:
        corners: Top and left of each box in px of the upright image, int32 `[n, V, 2]`.
        boxes: Height and width of each box, int32 `[n, V, 2]`.
        chances: Random numbers for `distort`, float32 `[n, V, num_distortion_draws(crops)]`.
        shrink: Index into RATIOS of the ratio by which the image can be shrunk while it is decoded, int32 `[n]`.
    """

    corners: tf.Tensor
    boxes: tf.Tensor
    chances: tf.Tensor
    shrink: tf.Tensor


def multicrop(image: tf.Tensor, crops: CropsConfig, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Returns the crops of an image, one tensor per group, uint8 `[num, side, side, 3]`.

    Args:
        image: Image, uint8 `[h, w, 3]`.
        crops: Numbers, sizes and distortions of the crops.
        seed: Integer `[2]`; the same seed gives the same crops.
    """
    drawn = draw(tf.shape(image)[None, :2], crops, seed[None])
    groups = cut(image, crops, drawn.corners[0], drawn.boxes[0])
    return distort_groups(groups, drawn.chances[0], crops, one_by_one=True)


def draw(image_sizes: tf.Tensor, crops: CropsConfig, seeds: tf.Tensor) -> Draws:
    """Draws the boxes of the crops of some images, and the random numbers for `distort`.

    Args:
        image_sizes: Height and width of the upright images in px, int32 `[n, 2]`.
        crops: Numbers, sizes and areas of the crops.
        seeds: Seeds of the images, integer `[n, 2]`, with n known when the graph is built.
    """
    num_draws = NUM_BOX_DRAWS + num_distortion_draws(crops)
    uniform = tf.stack([tf.random.stateless_uniform([sum(crops.num), num_draws], seed) for seed in tf.unstack(seeds)])
    least, largest = (_per_crop(values, crops) for values in (crops.min_area_fractions, crops.max_area_fractions))
    corners, boxes = random_boxes(image_sizes[:, None], least, largest, uniform[..., :NUM_BOX_DRAWS])
    sides = np.repeat(np.array(crops.sizes_px, np.float32), crops.num)[:, None]
    gap = tf.reduce_min(tf.cast(boxes, tf.float32) / sides, axis=[1, 2]) / _LEAST_GAP  # [n]
    shrink = tf.reduce_sum(tf.cast(gap[:, None] >= tf.constant(RATIOS[1:], tf.float32), tf.int32), axis=1)
    return Draws(corners, boxes, uniform[..., NUM_BOX_DRAWS:], shrink)


def num_distortion_draws(crops: CropsConfig) -> int:
    """Returns how many random numbers `distort` needs for a crop.

    Without solarisation there are as many as before it was known, so that a seed still gives the same crops.
    """
    return NUM_DISTORTION_DRAWS + crops.solarizes


def _per_crop(values: tuple[float, ...], crops: CropsConfig) -> np.ndarray:
    """Repeats the value of each group for all of its crops: float32 `[V]`."""
    return np.repeat(np.array(values, np.float32), crops.num)


def random_boxes(
    image_size: tf.Tensor, min_area_fractions: np.ndarray, max_area_fractions: np.ndarray, uniform: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws boxes as `RandomResizedCrop` of torchvision: ten tries, then the largest central box of an allowed aspect.

    Args:
        image_size: Height and width in px, int32 `[..., 2]`; the leading axes broadcast to those of the result.
        min_area_fractions: Least areas of the boxes, as fractions of the area of the image, float32 `[V]`.
        max_area_fractions: Largest areas of the boxes, likewise.
        uniform: Random numbers in [0, 1) for areas, aspect ratios and places, float32 `[..., V, NUM_BOX_DRAWS]`.

    Returns:
        Top and left, and height and width, in px: int32 `[..., V, 2]` each.
    """
    size = tf.cast(image_size, tf.float32)  # [..., 2]
    spread = (max_area_fractions - min_area_fractions)[:, None]
    fractions = min_area_fractions[:, None] + uniform[..., :_NUM_TRIES] * spread  # [..., V, tries]
    log_aspects = _LOG_ASPECTS[0] + uniform[..., _NUM_TRIES : 2 * _NUM_TRIES] * (_LOG_ASPECTS[1] - _LOG_ASPECTS[0])
    # Height and width are sqrt(area / aspect) and sqrt(area * aspect), in logarithms of the square roots.
    halves = log_aspects[..., None] * np.array([-0.5, 0.5], np.float32)  # [..., V, tries, 2]
    area = tf.reduce_prod(size, axis=-1, keepdims=True)  # [..., 1]
    sides = tf.round(tf.sqrt(fractions * area)[..., None] * tf.exp(halves))
    fits = tf.reduce_all((sides >= 1.0) & (sides <= size[..., None, :]), axis=-1)  # [..., V, tries]
    tried = tf.gather(sides, tf.argmax(fits, axis=-1), batch_dims=fits.shape.rank - 1)  # [..., V, 2]
    none_fits = ~tf.reduce_any(fits, axis=-1, keepdims=True)  # [..., V, 1]
    box = tf.where(none_fits, tf.minimum(size, tf.round(tf.reverse(size, [-1]) * _LONGEST_ASPECT)), tried)
    space = size - box
    place = tf.where(none_fits, space / 2.0, uniform[..., 2 * _NUM_TRIES :] * (space + 1.0))
    corner = tf.minimum(tf.floor(place), space)  # A draw just below 1 can round up to 1.
    return tf.cast(corner, tf.int32), tf.cast(box, tf.int32)


def cut(
    image: tf.Tensor, crops: CropsConfig, corners: tf.Tensor, boxes: tf.Tensor, ratio: tf.Tensor | int = 1
) -> tuple[tf.Tensor, ...]:
    """Cuts boxes out of an image and resizes them with antialiasing, as Pillow.

    Args:
        image: Image, uint8 `[h, w, 3]`.
        crops: Numbers and sizes of the crops.
        corners: Top and left of each box in the original image, int32 `[V, 2]`, as from `draw`.
        boxes: Height and width of each box in the original image, int32 `[V, 2]`.
        ratio: Ratio by which the image was shrunk while it was decoded, int32 scalar.

    Returns:
        The crops of each group, uint8 `[num, side, side, 3]`.
    """
    sides = np.repeat(crops.sizes_px, crops.num)
    factor = tf.cast(ratio, tf.float32)
    corner, box = tf.cast(corners, tf.float32) / factor, tf.cast(boxes, tf.float32) / factor  # [V, 2]
    begins = tf.floor(corner)
    ends = tf.minimum(tf.math.ceil(corner + box), tf.cast(tf.shape(image)[:2], tf.float32))
    scales = sides.astype(np.float32)[:, None] / box
    parts = zip(
        tf.unstack(tf.pad(tf.cast(begins, tf.int32), [[0, 0], [0, 1]])),
        tf.unstack(tf.pad(tf.cast(ends - begins, tf.int32), [[0, 0], [0, 1]], constant_values=3)),
        tf.unstack(scales),
        tf.unstack((begins - corner) * scales),
        sides.tolist(),
        strict=True,
    )
    kernel = _KERNELS[crops.interpolation]
    resized = [
        _resize(tf.slice(image, begin, size), scale, move, side, kernel) for begin, size, scale, move, side in parts
    ]
    rounded = [tf.cast(_clip(crop + 0.5), tf.uint8) for crop in resized]
    bounds = itertools.accumulate(crops.num, initial=0)
    return tuple(tf.stack(rounded[first:last]) for first, last in itertools.pairwise(bounds))


def _clip(pixels: tf.Tensor) -> tf.Tensor:
    """Clips to 0..255, which bicubic overshoots, in one operation; `tf.clip_by_value` takes two."""
    return tf.raw_ops.ClipByValue(t=pixels, clip_value_min=0.0, clip_value_max=255.0)


def _resize(part: tf.Tensor, scale: tf.Tensor, move: tf.Tensor, side: int, kernel: str) -> tf.Tensor:
    """Scales uint8 `[h, w, 3]` by `scale` and moves it by `move` px, both `[2]`: float32 `[side, side, 3]`."""
    if side < _TWO_PASSES_FROM_PX:
        return tf.ensure_shape(_scale(part[None], [side, side], scale, move, kernel)[0], [side, side, 3])
    # Along the second axis the operation is slow for few channels. So each pass scales the first axis, with the other
    # axis as channels.
    one, zero = tf.constant([1.0]), tf.constant([0.0])
    for axis in range(2):
        length = tf.shape(part)[1]
        rows = tf.reshape(part, [1, -1, 1, 3 * length])
        along = slice(axis, axis + 1)
        rows = _scale(rows, [side, 1], tf.concat([scale[along], one], 0), tf.concat([move[along], zero], 0), kernel)
        part = tf.transpose(tf.reshape(rows, [side, length, 3]), [1, 0, 2])
    return tf.ensure_shape(part, [side, side, 3])


def _scale(images: tf.Tensor, size: list[int], scale: tf.Tensor, move: tf.Tensor, kernel: str) -> tf.Tensor:
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=size, scale=scale, translation=move, kernel_type=kernel, antialias=True
    )


def distort_groups(
    groups: tuple[tf.Tensor, ...], chances: tf.Tensor, crops: CropsConfig, *, one_by_one: bool
) -> tuple[tf.Tensor, ...]:
    """Distorts the crops of an image or of a batch.

    Args:
        groups: Crops of each group, uint8 `[..., num, side, side, 3]`.
        chances: Uniform random numbers, float32 `[..., V, num_distortion_draws(crops)]`.
        crops: Distortions of the crops.
        one_by_one: Whether large crops are distorted one after another, which is faster on a CPU, or all at once.

    Returns:
        Distorted crops with the shapes and dtypes of `groups`.
    """
    parts = zip(groups, tf.split(chances, crops.num, axis=-2), strict=True)
    if not crops.has_views:
        return tuple(_distort_group(group, chance, crops, one_by_one) for group, chance in parts)
    views = map(crops.of_view, itertools.count())
    return tuple(_distort_views(group, chance, views, one_by_one) for group, chance in parts)


def _distort_views(group: tf.Tensor, chances: tf.Tensor, views: Iterator[CropsConfig], one_by_one: bool) -> tf.Tensor:
    """Distorts a group in which each crop of an image takes the next config."""
    crops, of_crops = tf.split(group, group.shape[-4], axis=-4), tf.split(chances, group.shape[-4], axis=-2)
    distorted = [
        _distort_group(crop, chance, next(views), one_by_one) for crop, chance in zip(crops, of_crops, strict=True)
    ]
    return tf.concat(distorted, axis=-4)


def _distort_group(group: tf.Tensor, chances: tf.Tensor, crops: CropsConfig, one_by_one: bool) -> tf.Tensor:
    of_group = one_by_one and group.shape[-2] >= _COMPILED_FROM_PX
    function = distort_one_by_one if of_group else distort
    rows = function(tf.reshape(group, [-1, *group.shape[-3:]]), tf.reshape(chances, [-1, chances.shape[-1]]), crops)
    return tf.ensure_shape(tf.reshape(rows, tf.shape(group)), group.shape)


def is_compiled(crops: CropsConfig) -> bool:
    """Whether XLA compiles the distortion of the largest crops."""
    return max(crops.sizes_px) >= _COMPILED_FROM_PX


def distort(crops: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Flips, colours and blurs crops, each by its own row of random numbers.

    Args:
        crops: Crops of one size, uint8 `[N, S, S, 3]`.
        uniform: Random numbers in [0, 1), float32 `[N, num_distortion_draws(config)]`, or more, which are not used.
        config: Probabilities and strengths.

    Returns:
        uint8 `[N, S, S, 3]`.
    """
    flip, color_and_blur = _functions(config, crops.shape[1] >= _COMPILED_FROM_PX)
    return color_and_blur(flip(crops, uniform), uniform)


def distort_one_by_one(crops: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Does the same as `distort` with XLA, one crop after another; computes only the operations that a crop needs."""
    return _compiled_one_by_one(config)(crops, uniform)


# Cached, so that the functions for one config are compiled only once per shape.


@functools.cache
def _functions(config: CropsConfig, compiled: bool) -> tuple[Callable[..., tf.Tensor], Callable[..., tf.Tensor]]:
    """Returns the flip and all other operations; in a single function, XLA would repeat the flip for each operation."""
    functions = functools.partial(_flip, config=config), functools.partial(_color_and_blur, config=config)
    if not compiled:
        return functions
    flip, color_and_blur = (tf.function(function, jit_compile=True, autograph=False) for function in functions)
    return flip, color_and_blur


@functools.cache
def _compiled_one_by_one(config: CropsConfig) -> Callable[..., tf.Tensor]:
    def each(crops: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda one: _distort_one(one[0], one[1], config), (crops, uniform), fn_output_signature=tf.uint8
        )

    return tf.function(each, jit_compile=True, autograph=False)


def _distort_one(crop: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Distorts one crop, uint8 `[S, S, 3]`."""
    side, chance = crop.shape[0], _chance(uniform[None], config)
    crop = tf.cond(chance.is_flipped[0], lambda: tf.reverse(crop, [1]), lambda: crop)
    planes = tf.reshape(tf.transpose(tf.cast(crop, tf.float32), [2, 0, 1]), [1, 3, side * side])  # [1, 3, P]
    planes = tf.cond(
        chance.is_jittered[0],
        lambda: color.branching_color_jitter(planes, chance.factors[0], chance.hue_shift[0], chance.order[0]),
        lambda: planes,
    )
    planes = tf.cond(chance.is_greyed[0], lambda: color.grayscale(planes, chance.is_greyed), lambda: planes)
    planes = tf.reshape(planes, [1, 3, side, side])
    high = config.blur_max_sigma_px
    planes = tf.cond(
        chance.is_blurred[0],
        lambda: color.sliding_blur(planes, chance.sigma_px, max_sigma_px=high),
        lambda: planes,
    )
    if chance.is_solarized is not None:
        planes = color.solarize(planes, chance.is_solarized)
    return tf.transpose(tf.cast(tf.round(planes[0]), tf.uint8), [1, 2, 0])


def _flip(crops: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    return color.flip(crops, _chance(uniform, config).is_flipped)


def _color_and_blur(crops: tf.Tensor, uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    side, chance = crops.shape[1], _chance(uniform, config)
    planes = tf.reshape(tf.transpose(tf.cast(crops, tf.float32), [0, 3, 1, 2]), [-1, 3, side * side])  # [N, 3, P]
    planes = color.color_jitter(
        planes,
        factors=tf.where(chance.is_jittered[:, None], chance.factors, 1.0),
        hue_shift=tf.where(chance.is_jittered, chance.hue_shift, 0.0),
        order=chance.order,
    )
    planes = color.grayscale(planes, chance.is_greyed)
    sigma_px = tf.where(chance.is_blurred, chance.sigma_px, 0.0)
    # Measured: a matrix per crop is fastest for small crops, and a sliding window for large ones.
    blur = color.sliding_blur if side >= _COMPILED_FROM_PX else color.gaussian_blur
    planes = blur(tf.reshape(planes, [-1, 3, side, side]), sigma_px, max_sigma_px=config.blur_max_sigma_px)
    if chance.is_solarized is not None:
        planes = color.solarize(planes, chance.is_solarized)
    return tf.transpose(tf.cast(tf.round(planes), tf.uint8), [0, 2, 3, 1])


class _Chance(NamedTuple):
    """The distortions of N crops: `[N]` each, except the factors of brightness, contrast and saturation, `[N, 3]`.

    `is_solarized` is None if no crop can be solarised.
    """

    is_flipped: tf.Tensor
    is_jittered: tf.Tensor
    order: tf.Tensor
    hue_shift: tf.Tensor
    factors: tf.Tensor
    is_greyed: tf.Tensor
    is_blurred: tf.Tensor
    sigma_px: tf.Tensor
    is_solarized: tf.Tensor | None


def _chance(uniform: tf.Tensor, config: CropsConfig) -> _Chance:
    """Turns uniform random numbers `[N, num_distortion_draws(config)]` into distortions."""
    flipped, jittered, order, hue, greyed, blurred, sigma = tf.unstack(uniform[:, :7], axis=1)
    low, high = config.blur_min_sigma_px, config.blur_max_sigma_px
    return _Chance(
        is_flipped=flipped < config.flip_probability,
        is_jittered=jittered < config.color_jitter_probability,
        order=tf.cast(order * color.NUM_ORDERS, tf.int32),
        hue_shift=config.hue * (2.0 * hue - 1.0),
        factors=_jitter_factors(uniform[:, 7:10], config),
        is_greyed=greyed < config.grayscale_probability,
        is_blurred=blurred < config.blur_probability,
        sigma_px=low + (high - low) * sigma,
        is_solarized=uniform[:, 10] < config.solarize_probability if config.solarize_probability else None,
    )


def _jitter_factors(uniform: tf.Tensor, config: CropsConfig) -> tf.Tensor:
    """Returns factors `[N, 3]` of brightness, contrast, saturation: uniform in [max(0, 1 - s), 1 + s], strength s."""
    strengths = (config.brightness, config.contrast, config.saturation)
    low = tf.constant([max(0.0, 1.0 - strength) for strength in strengths])
    high = tf.constant([1.0 + strength for strength in strengths])
    return low + uniform * (high - low)
