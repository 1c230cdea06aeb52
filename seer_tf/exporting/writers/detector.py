"""A detector as a SavedModel that needs only TensorFlow: images in, boxes in pixels of these images out.

Signatures:
  serve        `images`, uint8 [B, H, W, 3], any one size per batch. Returns the outputs of `Detector.detect`, and
               `class_name`, string [B, N], empty after the last detection. It is also serving_default.
  serve_float  `squares`, float32 [B, S, S, 3], made by `Detector.square`. Returns the outputs before decoding:
               `cls_logits` and `bbox_regression` of the anchors. Gradients reach `trainable_variables` through it.
"""

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.exporting import fresh_process
from seer_tf.exporting.gradients import check_gradient_norms, gradient_norms
from seer_tf.exporting.writers.archive import Prepare, write_archive
from seer_tf.exporting.writers.saved_model import of_some
from seer_tf.models.backbones.regnet import published
from seer_tf.models.tasks.detector import Detector

TOLERANCE = 1e-3
"""Tolerance for boxes in pixels, for confidences, and for the norms of gradients relative to the largest norm."""


def write_detector(detector: Detector, directory: Path, images: np.ndarray, metadata: Mapping[str, Any]) -> float:
    """Writes a SavedModel, metadata.json and a licence notice; compares the SavedModel in a fresh process.

    Args:
        detector: Detector to write.
        directory: Directory to write into.
        images: Images for the comparison, uint8 [B, H, W, 3].
        metadata: Content of metadata.json besides classes and size.

    Returns:
        The largest difference in the outputs that `TOLERANCE` covers.

    Raises:
        InputError: The difference is above `TOLERANCE`.
        RuntimeError: The SavedModel cannot be loaded again.
    """
    write_archive(directory, functools.partial(_signatures, detector), detector.model)
    described = {**metadata, "class_names": list(detector.class_names), "longer_side_px": detector.size_px}
    (directory / "metadata.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    published.add_notice(directory, detector.licence)
    difference = _difference(directory, images, _expected(detector, images))
    if not difference <= TOLERANCE:
        raise InputError(
            f"the reloaded detector differs by {difference:.1e}, more than {TOLERANCE:.0e}; nothing was written"
        )
    return difference


def _expected(detector: Detector, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the detector's own outputs, its input squares and the norms of its gradients."""
    squares, scales = zip(*(detector.square(tf.constant(image)) for image in images), strict=True)
    squares = tf.stack(squares)
    variables = [variable.value for variable in detector.model.trainable_variables]
    norms = gradient_norms(lambda some: detector.model(some, training=False), squares, variables)
    found = detector.detect(squares, tf.stack(scales))
    return {name: np.asarray(value) for name, value in found.items()} | {"squares": squares, "gradient_norms": norms}


def _signatures(detector: Detector, prepare: Prepare) -> dict[str, Callable]:
    """Returns the signatures by name as compiled functions."""
    on_squares = prepare(detector.model)
    names = tf.constant(["", *detector.class_names])
    square = [detector.size_px, detector.size_px, 3]

    def predicted(squares: tf.Tensor) -> dict[str, tf.Tensor]:
        return of_some(lambda some: on_squares(some, training=False), squares, detector.size_px)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        specs = (tf.TensorSpec(square, tf.float32), tf.TensorSpec([], tf.float32))
        squares, scales = tf.map_fn(detector.square, images, fn_output_signature=specs)
        found = detector.decode(predicted(squares), squares, scales)
        return {**found, "class_name": tf.gather(names, found["labels"] + 1)}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, *square], tf.float32, name="squares")])
    def serve_float(squares: tf.Tensor) -> dict[str, tf.Tensor]:
        return predicted(squares)

    return {"serve": serve, "serve_float": serve_float}


def _difference(directory: Path, images: np.ndarray, expected: Mapping[str, np.ndarray]) -> float:
    """Returns the largest difference over all environments that a user may have."""
    with tempfile.TemporaryDirectory() as scratch:
        np.save(f"{scratch}/images.npy", images)
        np.save(f"{scratch}/squares.npy", expected["squares"])
        reader = fresh_process.READERS / "detector.py"
        return max(
            _difference_of(fresh_process.run(reader, directory, Path(scratch), variables), expected)
            for variables in fresh_process.EVERY_ONE_DNN
        )


def _difference_of(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    if not np.array_equal(found["num_detections"], expected["num_detections"]):
        return float("inf")
    check_gradient_norms(found["gradient_norms"], expected["gradient_norms"])
    return max(float(np.abs(found[name] - expected[name]).max()) for name in ("boxes", "confidence"))
