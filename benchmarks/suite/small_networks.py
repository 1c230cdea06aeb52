"""A ResNet and a ConvNeXt with as much arithmetic as RegNetY-90MF, for comparisons of architectures on small images.

All three have a stem and four stages, each of which halves the resolution; `backbone.stem_stride=1` lets the stem keep
it. The blocks are those of the papers: "Deep Residual Learning for Image Recognition" (He et al. 2015, two 3 x 3
convolutions) and "A ConvNet for the 2020s" (Liu et al. 2022).
"""

import keras
from keras import layers

_STEM_WIDTH = 16
_RESNET_WIDTHS = (22, 44, 88, 176)
_CONVNEXT_STAGES = ((24, 1), (48, 1), (96, 2), (192, 1))  # width and depth; the third is the longest, as in the paper
_LAYER_SCALE = 1e-6


def resnet() -> keras.Model:
    """Returns a ResNet of four basic blocks, from images `[B, h, w, 3]` to a map `[B, h / 32, w / 32, 176]`."""
    image = keras.Input((None, None, 3))
    x = layers.ReLU()(_normalized_convolution(image, _STEM_WIDTH, strides=2))
    for width in _RESNET_WIDTHS:
        shortcut = _normalized_convolution(x, width, kernel_size=1, strides=2)
        x = layers.ReLU()(_normalized_convolution(x, width, strides=2))
        x = layers.ReLU()(layers.Add()([_normalized_convolution(x, width), shortcut]))
    return keras.Model(image, x)


def convnext() -> keras.Model:
    """Returns a ConvNeXt of five blocks, from images `[B, h, w, 3]` to a map `[B, h / 32, w / 32, 192]`."""
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(_STEM_WIDTH, 2, strides=2, padding="same")(image)
    for width, depth in _CONVNEXT_STAGES:
        x = layers.Conv2D(width, 2, strides=2, padding="same")(_layer_norm(x))
        for _ in range(depth):
            x = layers.Add()([x, _convnext_branch(x, width)])
    return keras.Model(image, _layer_norm(x))


def _convnext_branch(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    x = _layer_norm(layers.DepthwiseConv2D(7, padding="same")(x))
    x = layers.Conv2D(width, 1)(layers.Conv2D(4 * width, 1, activation="gelu")(x))
    # A kernel of one pixel is ConvNeXt's scale of each channel.
    scale = keras.initializers.Constant(_LAYER_SCALE)
    return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=scale)(x)


def _layer_norm(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=1e-6)(x)


def _normalized_convolution(
    x: keras.KerasTensor, width: int, kernel_size: int = 3, strides: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(width, kernel_size, strides=strides, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)
