"""The network as a LiteRT file for phones and small devices: one uint8 crop [1, S, S, 3] in, outputs by name.

The file uses only LiteRT's own operations, so that it runs without any part of TensorFlow. Class names, if there are
any, are in `labels.txt` in the zip archive at the end of the file (`unzip -p FILE labels.txt`), as the format's
metadata define it (ai.google.dev/edge/litert/conversion/tensorflow/metadata).
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.models import convolution
from seer_tf.networks.network import Network

# S evaluation size, N images to calibrate on
_BUILTINS = [tf.lite.OpsSet.TFLITE_BUILTINS]
_INT8_BUILTINS = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
_QUANTISED = [tf.lite.Optimize.DEFAULT]


def write_float32(network: Network, path: Path) -> None:
    """Writes weights and arithmetic in float32."""
    _write(network, path, target_spec={"supported_ops": _BUILTINS})


def write_float16(network: Network, path: Path) -> None:
    """Writes weights in float16, half the size; devices without float16 arithmetic compute in float32."""
    target_spec = {"supported_ops": _BUILTINS, "supported_types": [tf.float16]}
    _write(network, path, optimizations=_QUANTISED, target_spec=target_spec)


def write_dynamic_int8(network: Network, path: Path) -> None:
    """Writes weights in int8, a quarter of the size; the range of each activation is found when the model runs."""
    _write(network, path, optimizations=_QUANTISED, target_spec={"supported_ops": _BUILTINS})


def write_int8(network: Network, path: Path, calibration: np.ndarray) -> None:
    """Writes weights and activations in int8; crops, uint8 [N, S, S, 3], calibrate the activations' ranges."""

    def representative() -> Iterator[list[np.ndarray]]:
        for crop in calibration:
            yield [crop[None]]

    target_spec = {"supported_ops": _INT8_BUILTINS}
    _write(network, path, optimizations=_QUANTISED, representative_dataset=representative, target_spec=target_spec)


def _write(network: Network, path: Path, **converter: Any) -> None:
    crop = tf.TensorSpec([1, network.size_px, network.size_px, 3], tf.uint8, name="images")
    convolution.as_one_operation(network.on_images.export)(
        path, format="litert", verbose=False, input_signature=[crop], **converter
    )
    if network.class_names:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("labels.txt", "\n".join(network.class_names) + "\n")
