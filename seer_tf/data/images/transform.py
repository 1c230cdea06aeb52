"""The transform for evaluation: an image of any size becomes a square, as in Pillow and torchvision."""

import dataclasses

import tensorflow as tf

from seer_tf.errors import InputError

_RESIZE_RATIO = 256 / 224  # Usual evaluation on ImageNet: shorter side to 256, central 224.
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
INTERPOLATIONS = tuple(_KERNELS)
_MAX_ASPECT = 16  # for squashing: without it, a strip of 4 x 20,000 px would become 256 x 1,280,000


@dataclasses.dataclass(frozen=True)
class Transform:
    """Resizes the shorter side and cuts out the central square.

    Attributes:
        size_px: Side of the result.
        resize_px: Length of the shorter side before cutting; None for size * 256 / 224. With None, a square image of
            `size_px` stays as it is, because data sets of small images consist of such squares. Released networks have
            a number here.
        interpolation: "bilinear" or "bicubic", both with antialiasing.
        squash: Whether to squeeze the whole image into the square instead of cutting.
        at_once: Whether squeezing resizes the image once, as VISSL does for CLEVR and SUN397. Otherwise the shorter
            side is resized first, as VISSL does for VOC07.

    Raises:
        InputError: The square is larger than the resized image.
    """

    size_px: int
    resize_px: int | None = None
    interpolation: str = "bilinear"
    squash: bool = False
    at_once: bool = False

    def __post_init__(self) -> None:
        """Compares the two sizes."""
        if not self.squash and self.shorter_px < self.size_px:
            raise InputError(
                f"no square of {self.size_px} px can be cut from images whose shorter side becomes {self.resize_px} "
                "px; resize them to no less"
            )

    def __str__(self) -> str:
        """Returns a description in words."""
        if self.squash and self.at_once:
            return f"squeezed into {self.size_px} px at once ({self.interpolation})"
        cut = f"squeezed into {self.size_px} px" if self.squash else f"central {self.size_px} px"
        kept = "" if self.resize_px else "; such a square as it is"
        return f"shorter side to {self.shorter_px} px ({self.interpolation}), {cut}{kept}"

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Transforms an image, uint8 `[h, w, 3]`, to uint8 `[size, size, 3]`."""
        shape = tf.shape(image)[:2]
        if self.resize_px:
            result = self._resized(image, shape)
        else:
            result = tf.cond(tf.reduce_all(shape == self.size_px), lambda: image, lambda: self._resized(image, shape))
        return tf.ensure_shape(result, [self.size_px, self.size_px, 3])

    def with_size(self, size_px: int) -> "Transform":
        """Returns the transform for another size, with the shorter side resized to size * 256 / 224."""
        return dataclasses.replace(self, size_px=size_px, resize_px=None)

    @property
    def shorter_px(self) -> int:
        """Length of the shorter side before the square is cut out."""
        return self.resize_px or round(self.size_px * _RESIZE_RATIO)

    def _resized(self, image: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        square = tf.fill([2], self.size_px)
        if self.squash and self.at_once:
            return resize(image, square, square, self.interpolation)
        resized = shape * self.shorter_px // tf.reduce_min(shape)  # `Resize` of torchvision truncates the longer side.
        if self.squash:
            resized = tf.minimum(resized, tf.maximum(shape, _MAX_ASPECT * self.shorter_px))
            return resize(resize(image, resized, resized, self.interpolation), square, square, self.interpolation)
        return resize(image, resized, square, self.interpolation)


@dataclasses.dataclass(frozen=True)
class WholeImage:
    """Resizes the longer side, bilinearly, and cuts nothing off.

    Attributes:
        size_px: Length of the longer side of the result.
    """

    size_px: int

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """Transforms an image, uint8 `[h, w, 3]`, to uint8 `[h', w', 3]`."""
        shape = tf.shape(image)[:2]
        size = tf.cast(tf.round(shape * self.size_px / tf.reduce_max(shape)), tf.int32)
        size = tf.maximum(size, 1)
        return resize(image, size, size, "bilinear")


def resize(image: tf.Tensor, size: tf.Tensor, window: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Resizes an image and keeps a central window of the result.

    Pillow scales the rows first, rounds to whole levels, and then scales the columns. With the same order and rounding,
    nearly every pixel equals Pillow's exactly. A single pass of bicubic would differ by up to 20 levels where it
    overshoots.

    Args:
        image: Image, uint8 `[h, w, 3]`.
        size: Height and width of the whole result, int32 `[2]`.
        window: Height and width of the central window, int32 `[2]`, at most `size`.
        interpolation: One of `INTERPOLATIONS`.

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
