"""A detector as a SavedModel that returns boxes: images in, boxes in their pixels out, with TensorFlow alone.

One signature, `serve`, which is serving_default too: of `images`, uint8 [B, H, W, 3], any one size per batch, it
returns what `Detector.detect` does, and `class_name`, string [B, N], empty behind the last detection.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.export.writers.saved_model import of_some
from seer_tf.models.backbones.regnet import published
from seer_tf.models.tasks.detector import Detector

TOLERANCE = 1e-3
"""Of boxes in pixels, and of confidences; rounding moves a box a little, and no more."""

_READER = Path(__file__).parent / "readers" / "detector.py"


def write_detector(detector: Detector, directory: Path, images: np.ndarray, metadata: Mapping[str, Any]) -> float:
    """Writes a SavedModel, metadata.json and the notice of a licence, loads it in a fresh process and compares.

    Args:
        detector: Detector to write.
        directory: Directory to write into.
        images: Uint8 [B, H, W, 3], to compare on.
        metadata: What metadata.json says besides classes and size.

    Returns:
        The largest difference, of boxes in pixels and of confidences.

    Raises:
        InputError: it is above `TOLERANCE`.
        RuntimeError: the SavedModel cannot be loaded again.
    """
    serve = _serve(detector)
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", serve)
    archive.write_out(str(directory), verbose=False)
    described = {**metadata, "class_names": list(detector.class_names), "longer_side_px": detector.size_px}
    (directory / "metadata.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
    published.add_notice(directory, detector.licence)
    difference = _difference(directory, images, {name: value.numpy() for name, value in serve(images).items()})
    if not difference <= TOLERANCE:
        raise InputError(
            f"the reloaded detector differs by {difference:.1e}, more than {TOLERANCE:.0e}; nothing was written"
        )
    return difference


def _serve(detector: Detector) -> Any:
    names = tf.constant(["", *detector.class_names])

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        specs = (tf.TensorSpec([detector.size_px] * 2 + [3], tf.float32), tf.TensorSpec([], tf.float32))
        squares, scales = tf.map_fn(detector.square, images, fn_output_signature=specs)
        found = of_some(lambda some: detector.model(some, training=False), squares, detector.size_px)
        found = detector.decode(found, squares, scales)
        return {**found, "class_name": tf.gather(names, found["labels"] + 1)}

    return serve


def _difference(directory: Path, images: np.ndarray, expected: Mapping[str, np.ndarray]) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        np.save(f"{scratch}/images.npy", images)
        fresh = subprocess.run(
            [sys.executable, "-I", str(_READER), str(directory), f"{scratch}/images.npy", f"{scratch}/outputs.npz"],
            capture_output=True,
            text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        )
        if fresh.returncode:
            raise RuntimeError(f"the detector does not load in a fresh process; nothing was written:\n{fresh.stderr}")
        with np.load(f"{scratch}/outputs.npz") as found:
            if not np.array_equal(found["num_detections"], expected["num_detections"]):
                return float("inf")
            return max(float(np.abs(found[name] - expected[name]).max()) for name in ("boxes", "confidence"))
