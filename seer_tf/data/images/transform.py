"""From an image of any size to the square that a network is evaluated on, as Pillow and torchvision make it."""

import dataclasses

import tensorflow as tf

from seer_tf.errors import InputError

_RESIZE_RATIO = 256 / 224  # The usual evaluation of ImageNet: shorter side to 256, central 224.
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
INTERPOLATIONS = tuple(_KERNELS)
_MAX_ASPECT = 16  # of what is squeezed: a strip of 4 x 20,000 pixels would become 256 x 1,280,000 on the way


@dataclasses.dataclass(frozen=True)
class Transform:
    """Resizes the shorter side and cuts the central square.

    Attributes:
        size_px: side of the result.
        resize_px: what the shorter side becomes first; None for size * 256 / 224, where a square of `size_px` stays as
            it is, since sets of small images are made of those. A released network's is a number, whatever comes.
        interpolation: "bilinear" or "bicubic", both with antialias.
        squash: whether to squeeze the whole into the square instead of cutting, as VISSL does with VOC07.

    Raises:
        InputError: a square is to be cut that is larger than what it is cut from.
    """

    size_px: int
    resize_px: int | None = None
    interpolation: str = "bilinear"
    squash: bool = False

    def __post_init__(self) -> None:
        """Checks the sides."""
        if not self.squash and self.shorter_px < self.size_px:
            raise InputError(
                f"no square of {self.size_px} px can be cut from images whose shorter side becomes {self.resize_px} "
                "px; resize them to no less"
            )

    def __str__(self) -> str:
        """Returns what it does in words."""
        cut = f"squeezed into {self.size_px} px" if self.squash else f"central {self.size_px} px"
        kept = "" if self.resize_px else "; such a square as it is"
        return f"shorter side to {self.shorter_px} px ({self.interpolation}), {cut}{kept}"

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Returns uint8 `[size, size, 3]` of uint8 `[h, w, 3]`."""
        shape = tf.shape(image)[:2]
        if self.resize_px:
            result = self._resized(image, shape)
        else:
            result = tf.cond(tf.reduce_all(shape == self.size_px), lambda: image, lambda: self._resized(image, shape))
        return tf.ensure_shape(result, [self.size_px, self.size_px, 3])

    def with_size(self, size_px: int) -> "Transform":
        """Returns the same for another side, resized to size * 256 / 224 first."""
        return dataclasses.replace(self, size_px=size_px, resize_px=None)

    @property
    def shorter_px(self) -> int:
        """What the shorter side becomes before the square is cut."""
        return self.resize_px or round(self.size_px * _RESIZE_RATIO)

    def _resized(self, image: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        resized = shape * self.shorter_px // tf.reduce_min(shape)  # torchvision's `Resize` truncates the longer side.
        square = tf.fill([2], self.size_px)
        if self.squash:
            resized = tf.minimum(resized, tf.maximum(shape, _MAX_ASPECT * self.shorter_px))
            return resize(resize(image, resized, resized, self.interpolation), square, square, self.interpolation)
        return resize(image, resized, square, self.interpolation)


def resize(image: tf.Tensor, size: tf.Tensor, window: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Resizes an image and keeps a central window of the result.

    Pillow scales the rows first, rounds to whole levels, and then scales the columns. In this order and with that
    rounding nearly every pixel is Pillow's to the bit; one pass of bicubic would be up to 20 levels off where it
    overshoots.

    Args:
        image: uint8 `[h, w, 3]`.
        size: height and width of the whole result, int32 `[2]`.
        window: height and width of what is kept, int32 `[2]`, not larger than `size`.
        interpolation: one of `INTERPOLATIONS`.

    Returns:
        uint8 `[window height, window width, 3]`.
    """
    offset = tf.round(tf.cast(size - window, tf.float32) / 2.0)
    scale = tf.cast(size / tf.shape(image)[:2], tf.float32)
    for is_scaled in (tf.constant([False, True]), tf.constant([True, False])):
        pixels = tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=tf.where(is_scaled, window, tf.shape(image)[:2]),
            scale=tf.where(is_scaled, scale, 1.0),
            translation=tf.where(is_scaled, -offset, 0.0),
            kernel_type=_KERNELS[interpolation],
            antialias=True,
        )[0]
        image = tf.saturate_cast(tf.floor(pixels + 0.5), tf.uint8)  # Pillow rounds halves up.
    return image
