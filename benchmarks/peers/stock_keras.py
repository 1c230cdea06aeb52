"""The peer for our backbone: the same RegNetY built from Keras's own layers, as in Keras's documentation."""

from collections.abc import Sequence

import keras
from keras import layers

from seer_tf.models.backbones.regnet.design import Stage

_STEM_WIDTH = 32


def stock_regnety(stages: Sequence[Stage], *, stem_stride: int = 2) -> keras.Model:
    """Returns a backbone [B, H, W, 3] -> [B, h, w, C] from `Conv2D` layers, with groups, and `BatchNormalization`."""
    inputs = keras.Input((None, None, 3))
    x = _convolution(inputs, _STEM_WIDTH, 3, stem_stride)
    for stage in stages:
        for index in range(stage.depth):
            x = _block(x, stage, stride=2 if index == 0 else 1)
    return keras.Model(inputs, x)


def _block(x: keras.KerasTensor, stage: Stage, *, stride: int) -> keras.KerasTensor:
    width_in = x.shape[-1]
    shortcut = x
    if width_in != stage.width or stride != 1:
        shortcut = _convolution(x, stage.width, 1, stride, activation=None)
    y = _convolution(x, stage.width, 1, 1)
    y = _convolution(y, stage.width, 3, stride, groups=stage.num_groups)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(y)
    squeezed = layers.Conv2D(round(0.25 * width_in), 1, activation="relu")(squeezed)
    y = y * layers.Conv2D(stage.width, 1, activation="sigmoid")(squeezed)
    y = _convolution(y, stage.width, 1, 1, activation=None)
    return layers.ReLU()(y + shortcut)


def _convolution(
    x: keras.KerasTensor, width: int, kernel: int, stride: int, *, groups: int = 1, activation: str | None = "relu"
) -> keras.KerasTensor:
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2)(x)
    x = layers.Conv2D(width, kernel, stride, groups=groups, use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.Activation(activation)(x) if activation else x
