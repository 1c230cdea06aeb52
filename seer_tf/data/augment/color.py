"""The image operations of SwAV on many crops at once, with the definitions of Pillow.

Every operation is a pure function of crops and factors, with one factor per crop; this module draws no random numbers.
Pixels are float32 from 0 to 255. The channel axis comes before the pixels, because colours mix whole planes:

    N crops, 3 channels, S side in px, P = S * S pixels

Pillow rounds to whole levels after each operation, and this module only at the end: they agree within a level or two.
"""

import itertools
import math

import numpy as np
import tensorflow as tf

_GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow's conversion to "L".
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE = range(4)
_ORDERS = np.array(list(itertools.permutations(range(4))), np.int32)
_BLEND_ORDERS = np.array([[op for op in order if op != _HUE] for order in _ORDERS], np.int32)
_HUE_POSITIONS = np.argmax(_ORDERS == _HUE, axis=1).astype(np.int32)
NUM_ORDERS = len(_ORDERS)
_NUM_BOX_PASSES = 3
_FIRST_INVERTED = 128.0  # as in Pillow's `solarize`


def flip(crops: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    """Mirrors the crops `[N, S, S, 3]` left to right for which `flipped`, bool `[N]`, is true."""
    # Select picks whole rows, several times as fast as `tf.where` with a broadcast condition.
    return tf.raw_ops.Select(condition=flipped, x=tf.reverse(crops, [2]), y=crops)


def grey(planes: tf.Tensor) -> tf.Tensor:
    """Returns the grey levels `[N, 1, P]` of `[N, 3, P]`."""
    red, green, blue = tf.split(planes, 3, axis=1)
    return _GREY_WEIGHTS[0] * red + _GREY_WEIGHTS[1] * green + _GREY_WEIGHTS[2] * blue


def grayscale(planes: tf.Tensor, greyed: tf.Tensor) -> tf.Tensor:
    """Replaces the colours of the crops `[N, 3, P]` by grey for which `greyed`, bool `[N]`, is true."""
    levels = tf.tile(grey(planes), [1, 3, 1])
    return tf.raw_ops.Select(condition=greyed, x=levels, y=planes)


def color_jitter(planes: tf.Tensor, factors: tf.Tensor, hue_shift: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue, in an order for each crop (`ColorJitter` of torchvision).

    Brightness blends with black, contrast with the mean grey of the crop, and saturation with the grey of each pixel:
    `other + factor * (pixel - other)`, clipped to 0..255 after each operation.

    Args:
        planes: Crops, float32 `[N, 3, P]`.
        factors: Factors of brightness, contrast and saturation, float32 `[N, 3]`; 1 changes nothing.
        hue_shift: Shift of the hue in turns of the colour circle, float32 `[N]`; 0 changes nothing.
        order: Number of the permutation of the four operations, int32 `[N]`, 0 to NUM_ORDERS - 1.

    Returns:
        float32 `[N, 3, P]`.
    """
    blends = tf.gather(_BLEND_ORDERS, order)  # [N, 3]
    hue_position = tf.gather(_HUE_POSITIONS, order)  # [N]
    for position in range(4):
        planes = tf.where((hue_position == position)[:, None, None], shift_hue(planes, hue_shift), planes)
        if position < 3:
            planes = _blend(planes, blends[:, position], tf.gather(factors, blends[:, position], batch_dims=1))
    return planes


def branching_color_jitter(planes: tf.Tensor, factors: tf.Tensor, hue_shift: tf.Tensor, order: tf.Tensor) -> tf.Tensor:
    """Does the same as `color_jitter` for one crop; it branches, so that each operation is computed only once.

    Args:
        planes: Crop, float32 `[1, 3, P]`.
        factors: Factors of brightness, contrast and saturation, float32 `[3]`.
        hue_shift: Shift of the hue, float32 scalar.
        order: Number of the permutation, int32 scalar.

    Returns:
        float32 `[1, 3, P]`.
    """
    operations = tf.gather(_ORDERS, order)  # [4]

    def operate(position: tf.Tensor, planes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        branches = {
            _BRIGHTNESS: lambda: _mix(planes, 0.0, factors[_BRIGHTNESS]),
            _CONTRAST: lambda: _mix(planes, tf.reduce_mean(grey(planes)), factors[_CONTRAST]),
            _SATURATION: lambda: _mix(planes, grey(planes), factors[_SATURATION]),
            _HUE: lambda: shift_hue(planes, hue_shift[None]),
        }
        return position + 1, tf.switch_case(operations[position], branches)

    return tf.while_loop(lambda position, _: position < 4, operate, (tf.constant(0), planes))[1]


def _blend(planes: tf.Tensor, operation: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    levels = grey(planes)  # [N, 1, P]
    is_contrast = tf.cast(operation == _CONTRAST, planes.dtype)[:, None, None]
    is_saturation = tf.cast(operation == _SATURATION, planes.dtype)[:, None, None]
    other = is_contrast * tf.reduce_mean(levels, axis=2, keepdims=True) + is_saturation * levels  # [N, 1, P]
    return _mix(planes, other, factor[:, None, None])


def _mix(planes: tf.Tensor, other: tf.Tensor | float, factor: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(other + factor * (planes - other), 0.0, 255.0)


def shift_hue(planes: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns the hue (HSV) of `[N, 3, P]` by a fraction `shift` `[N]` of a full circle; value and saturation stay."""
    red, green, blue = tf.unstack(planes, axis=1)  # [N, P]
    value, least = tf.maximum(tf.maximum(red, green), blue), tf.minimum(tf.minimum(red, green), blue)
    chroma = value - least
    scale = 1.0 / tf.maximum(chroma, 1e-3)  # Where chroma is 0, the numerators below are 0 too.
    sextant = tf.where(
        value == red,
        (green - blue) * scale,
        tf.where(value == green, 2.0 + (blue - red) * scale, 4.0 + (red - green) * scale),
    )
    sextant += 6.0 * shift[:, None]
    sextant -= 6.0 * tf.floor(sextant * (1.0 / 6.0))  # 0 to 6 from red over green (2) and blue (4) back to red
    parts = (tf.abs(sextant - 3.0) - 1.0, 2.0 - tf.abs(sextant - 2.0), 2.0 - tf.abs(sextant - 4.0))
    return tf.stack([least + chroma * tf.clip_by_value(part, 0.0, 1.0) for part in parts], axis=1)


def solarize(planes: tf.Tensor, solarized: tf.Tensor) -> tf.Tensor:
    """Inverts the levels from 128 on of the crops `[N, 3, S, S]` for which `solarized`, bool `[N]`, is true."""
    inverted = tf.where(planes < _FIRST_INVERTED - 0.5, planes, 255.0 - planes)  # levels are rounded afterwards
    return tf.raw_ops.Select(condition=solarized, x=inverted, y=planes)


def gaussian_blur(planes: tf.Tensor, sigma_px: tf.Tensor, *, max_sigma_px: float) -> tf.Tensor:
    """Blurs crops as `GaussianBlur(sigma)` of Pillow: three box blurs that repeat the pixels at the edge.

    Args:
        planes: Crops, float32 `[N, 3, S, S]`.
        sigma_px: Standard deviation for each crop, float32 `[N]`; 0 changes nothing.
        max_sigma_px: Upper bound of `sigma_px`.

    Returns:
        float32 `[N, 3, S, S]`.
    """
    box = _box_matrices(_box_radius(sigma_px), math.ceil(max_sigma_px) + 1, planes.shape[-1])  # [N, S, S]
    blur = tf.matmul(box, tf.matmul(box, box))[:, None]
    return tf.matmul(tf.matmul(blur, planes), blur, transpose_b=True)


def sliding_blur(planes: tf.Tensor, sigma_px: tf.Tensor, *, max_sigma_px: float) -> tf.Tensor:
    """Does the same as `gaussian_blur`, but repeats the edge once instead of before each of the three box blurs.

    This changes only the outermost pixels: three with a sigma of 2, one with 1 (docs/design/input_pipeline.md). XLA
    compiles each direction to one loop.
    """
    reach = math.floor((math.sqrt(4.0 * max_sigma_px**2 + 1.0) - 1.0) / 2.0) + 1  # one box, as in `_box_radius`
    taps = np.abs(np.arange(-reach, reach + 1)).astype(np.float32)
    radius = _box_radius(sigma_px)[:, None]
    box = tf.clip_by_value(radius + 1.0 - taps, 0.0, 1.0) / (2.0 * radius + 1.0)  # [N, taps]
    kernel = _convolve(_convolve(box, box), box)[:, :, None, None, None]  # [N, 3 * (taps - 1) + 1, 1, 1, 1]
    side, margin = planes.shape[-1], _NUM_BOX_PASSES * reach
    for axis in (2, 3):
        first, last = (tf.gather(planes, [place], axis=axis) for place in (0, side - 1))
        wide = tf.concat([tf.repeat(first, margin, axis), planes, tf.repeat(last, margin, axis)], axis)
        along = [slice(None)] * axis
        planes = tf.add_n([kernel[:, tap] * wide[*along, tap : tap + side] for tap in range(2 * margin + 1)])
    return planes


def _convolve(rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Convolves each row of `rows` with the same row of `others`: `[N, a]` and `[N, b]` give `[N, a + b - 1]`."""
    last = others.shape[1] - 1
    return tf.add_n([tf.pad(rows, [[0, 0], [tap, last - tap]]) * others[:, tap, None] for tap in range(last + 1)])


def _box_radius(sigma_px: tf.Tensor) -> tf.Tensor:
    """Returns the fractional radius `[N]` of the box that approximates a Gaussian when it is applied three times.

    Gwosdek et al., "Theoretical foundations of Gaussian convolution by extended box filtering" (2011), as in
    `src/libImaging/BoxBlur.c` of Pillow.
    """
    variance = tf.square(sigma_px) / _NUM_BOX_PASSES
    whole = tf.floor((tf.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    fraction = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
    return whole + fraction / (6.0 * (variance - tf.square(whole + 1.0)))


def _box_matrices(radius_px: tf.Tensor, reach_px: int, side: int) -> tf.Tensor:
    """Returns `[N, S, S]`: row i holds the weights of a line of pixels for pixel i; `reach_px` exceeds each radius."""
    taps = tf.abs(tf.range(-reach_px, reach_px + 1, dtype=tf.float32))  # [2 * reach + 1]
    # The box covers radius + 1 - d of a pixel at distance d, and at most the whole pixel.
    weights = tf.clip_by_value(radius_px[:, None] + 1.0 - taps, 0.0, 1.0) / (2.0 * radius_px[:, None] + 1.0)
    sources = np.clip(np.arange(side)[:, None] + np.arange(-reach_px, reach_px + 1), 0, side - 1)  # [S, taps]
    routes = np.eye(side, dtype=np.float32)[sources]  # [S, taps, S], constant
    return tf.reshape(tf.matmul(weights, np.moveaxis(routes, 1, 0).reshape(2 * reach_px + 1, -1)), [-1, side, side])
