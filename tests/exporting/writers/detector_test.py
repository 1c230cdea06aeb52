"""The SavedModel of a detector: boxes in pixels of the input images, class names, and verification."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.exporting.writers import detector as detector_model
from seer_tf.exporting.writers.detector import write_detector
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet import published
from seer_tf.models.encoder import Encoder
from seer_tf.models.tasks.detector import Detector

pytest.importorskip("keras_hub")


class _Encoder(Encoder):
    """An encoder with the smallest network in the table."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self.backbone = RegNetY("90MF", licence=published.LICENCE)
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.slow
def test_the_saved_model_returns_boxes_in_pixels_of_the_images(tmp_path, monkeypatch):
    """The SavedModel gives the boxes of the detector and their class names. A SavedModel that differs is refused."""
    detector = Detector(_Encoder(), ("cat", "dog"), size_px=128, smallest_anchor_px=16.0, num_head_layers=1)
    # A new detector finds nothing. With this bias, the detector takes every anchor for an object with confidence 0.5.
    bias = detector.model.classification_head.prediction_layer.bias
    bias.assign(tf.zeros_like(bias))
    images = np.random.default_rng(0).integers(0, 256, [2, 100, 300, 3], np.uint8)
    difference = write_detector(detector, tmp_path / "model", images, {"variant": "90MF"})
    assert 0 <= difference <= detector_model.TOLERANCE
    found = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](images=images)
    squares, scales = zip(*(detector.square(tf.constant(image)) for image in images), strict=True)
    expected = detector.detect(tf.stack(squares), tf.stack(scales))
    np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=0.01)
    nothing = tf.saved_model.load(str(tmp_path / "model")).signatures["serve"](images=images[:0])
    assert {name: value.shape[0] for name, value in nothing.items()} == dict.fromkeys(found, 0)
    num = int(found["num_detections"][0])
    labels, names = found["labels"][0].numpy(), found["class_name"][0].numpy()
    assert num > 0
    assert [name.decode() for name in names[:num]] == [("cat", "dog")[label] for label in labels[:num]]
    boxes = found["boxes"][0].numpy()[:num]
    assert boxes.min() >= 0 and boxes[:, 2].max() <= 300.01
    metadata = json.loads((tmp_path / "model" / "metadata.json").read_text())
    assert metadata["class_names"] == ["cat", "dog"] and metadata["variant"] == "90MF"
    assert (tmp_path / "model" / "SEER_LICENCE.txt").read_text("utf-8") == published.LICENCE_NOTICE
    monkeypatch.setattr(detector_model, "_difference", lambda *arguments: float("nan"))
    with pytest.raises(InputError, match="the reloaded detector differs"):
        write_detector(detector, tmp_path / "other", images, {})
