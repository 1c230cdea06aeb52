"""A layer in front of a network that converts normalised images to the pixels that the network expects."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf.config import CropsConfig
from seer_tf.errors import InputError

_MEAN, _STD = np.array(CropsConfig().mean), np.array(CropsConfig().std)
_CAFFE_MEAN = np.array([103.939, 116.779, 123.68])  # blue, green, red: `imagenet_utils.preprocess_input`
_REVERSED = np.eye(3)[::-1]
_SAME = np.eye(3)

#: By name: matrix [3, 3] and offset [3] that turn a pixel with values from 0 to 255 into what a network expects.
KINDS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "normalized": (np.diag(1 / (255 * _STD)), -_MEAN / _STD),
    "0 to 255": (_SAME, np.zeros(3)),
    "0 to 1": (_SAME / 255, np.zeros(3)),
    "-1 to 1": (_SAME / 127.5, -np.ones(3)),
    "caffe": (_REVERSED, -_CAFFE_MEAN),
}


@keras.saving.register_keras_serializable(package="seer_tf")
class Preprocessing(keras.layers.Layer):
    """Turns normalised images, which all backbones get, into the pixels that a network expects.

    Normalised means with ImageNet's mean and standard deviation, the defaults of `crops.mean` and `crops.std`.
    """

    def __init__(self, kind: str, **kwargs: Any) -> None:
        """Makes the layer.

        Args:
            kind: A name of `KINDS`: "normalized", "0 to 255", "0 to 1", "-1 to 1", or "caffe" for blue, green and red
                from 0 to 255 minus their means.
            **kwargs: Further arguments of `keras.layers.Layer`.

        Raises:
            InputError: There is no such kind.
        """
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise InputError.unknown("preprocessing", kind, KINDS)
        self.kind = kind
        matrix, offset = KINDS[kind]
        self._matrix = 255 * np.diag(_STD) @ matrix  # x = 255 (std * normalised + mean)
        self._offset = 255 * _MEAN @ matrix + offset

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns an image [B, h, w, 3] of the same shape."""
        if self.kind == "normalized":
            return inputs
        flat = tf.reshape(inputs, [-1, 3]) @ tf.constant(self._matrix, inputs.dtype)
        return tf.reshape(flat + tf.constant(self._offset, inputs.dtype), tf.shape(inputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "kind": self.kind}


def kind_of(preprocess_input: Callable[[np.ndarray], np.ndarray], *, source: str) -> str:
    """Returns the kind of preprocessing that a function does, found from its results for some pixels.

    Args:
        preprocess_input: Function from pixels with values from 0 to 255 to what a network expects.
        source: Where the function comes from, for messages.

    Raises:
        InputError: It is none of `KINDS`.
    """
    pixels = np.array([[[[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]]], np.float32)
    expected = np.asarray(preprocess_input(pixels.copy()))
    for kind, (matrix, offset) in KINDS.items():
        if np.allclose(pixels @ matrix + offset, expected, atol=1e-3):
            return kind
    raise InputError(
        f"the preprocessing of {source} is of an unknown kind; write a function that returns the network behind a "
        "layer of your own"
    )
