"""RetinaNet and DeepLabV3+ on our backbones: copied weights, the prior, anchors, and boxes in pixels."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from seer_tf.models.backbones.registry import build_backbone
from seer_tf.models.encoder import Encoder
from seer_tf.models.tasks.detector import MAX_DETECTIONS, Detector, smallest_anchor_px, with_stem_stride_2
from seer_tf.models.tasks.segmenter import build_segmenter

pytest.importorskip("keras_hub")

_SIZE_PX = 128


class _Encoder(Encoder):
    """An encoder with a small network and the stem for small images."""

    def __init__(self, variant: str = "90MF") -> None:
        keras.utils.set_random_seed(0)
        self.backbone = RegNetY(variant, stem_stride=1)
        self.mean, self.std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def detector() -> Detector:
    """A detector with new heads for two classes."""
    return Detector(_Encoder(), ("cat", "dog"), size_px=_SIZE_PX, smallest_anchor_px=12.0, num_head_layers=1)


def test_the_levels_have_the_strides_of_the_anchors():
    """This holds for every stride of the stem, and the weights stay the same."""
    backbone = _Encoder().backbone
    copy = with_stem_stride_2(backbone)
    assert copy.stem_stride == 2
    for variable, other in zip(backbone.variables, copy.variables, strict=True):
        np.testing.assert_array_equal(variable.value, other.value)
    outputs = keras.Model(copy.input, copy.pyramid_outputs)(np.zeros([1, 64, 96, 3], np.float32))
    assert {name: tuple(value.shape[1:3]) for name, value in outputs.items()} == {
        f"P{level}": (64 // 2**level, 96 // 2**level) for level in range(1, 6)
    }


def test_three_stages_are_too_few():
    """The detector needs levels up to a stride of 32."""
    said = "need four stages, but 190MF has 3"
    with pytest.raises(InputError, match=said):
        Detector(_Encoder("190MF"), ("cat",), size_px=_SIZE_PX, smallest_anchor_px=12.0)
    with pytest.raises(InputError, match=said):
        build_segmenter(_Encoder("190MF"), 2, size_px=64)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "EfficientNetV2B0", "MobileNetV3Small"])
def test_a_keras_model_with_four_resolutions_becomes_a_detector(name: str) -> None:
    encoder = _Encoder()
    encoder.backbone = build_backbone(BackboneConfig(f"keras.applications:{name}"))
    detector = Detector(encoder, ("cat", "dog"), size_px=_SIZE_PX, smallest_anchor_px=12.0, num_head_layers=1)
    found = detector.model(np.zeros([1, _SIZE_PX, _SIZE_PX, 3], np.float32))
    assert found["cls_logits"].shape[-1] == 2 and all(np.isfinite(value).all() for value in found.values())


def test_the_prior_is_in_the_bias_of_the_classification_head(detector):
    """KerasHub adds the prior to the box head instead."""
    assert not detector.model.box_head.prediction_layer.bias.value.numpy().any()
    biases = detector.model.classification_head.prediction_layer.bias.value
    np.testing.assert_allclose(tf.sigmoid(biases), 0.01, rtol=1e-5)


def test_new_heads_are_initialised_as_in_the_paper(detector):
    """The deviation is 0.01, and each convolution has its own values. KerasHub's deviation is 0.05."""
    heads = (detector.model.box_head, detector.model.classification_head)
    kernels = [layer.kernel.numpy() for head in heads for layer in (*head.conv_layers, head.prediction_layer)]
    assert len(kernels) == 4
    for kernel in kernels:
        assert kernel.std() == pytest.approx(0.01, rel=0.03) and abs(kernel.mean()) < 1e-3
    assert not np.array_equal(kernels[0], kernels[2])


def test_every_box_gets_an_anchor(detector):
    """A box between the anchors gets the anchor with the largest overlap, even if the overlap is less than half."""
    squares = tf.zeros([1, _SIZE_PX, _SIZE_PX, 3])
    box = np.array([38, 38, 50, 50], np.float32)  # with the side of the smallest anchors, 4 px from the centres of four
    boxes, labels = np.stack([box, np.full(4, -1.0, np.float32)])[None], np.array([[1.0, -1.0]], np.float32)
    deltas, classes = detector.model.label_encoder(images=squares, gt_boxes=boxes, gt_classes=labels)
    (given,) = np.flatnonzero(classes[0] == 1)
    anchors = tf.concat(list(detector.model.anchor_generator(squares).values()), axis=0).numpy()
    overlap = keras.utils.bounding_boxes.compute_iou(anchors, box[None], bounding_box_format="xyxy").numpy()[:, 0]
    assert given == overlap.argmax() and 0.2 < overlap[given] < 0.5
    assert not np.any(classes[0] == 0)
    centre = anchors[given].reshape(2, 2).mean(axis=0)
    np.testing.assert_allclose(
        deltas[0, given, :2] * (anchors[given, 2:] - anchors[given, :2]) + centre, [44, 44], atol=1e-3
    )


def test_an_image_becomes_a_square(detector):
    """The longer side fills the square, and the rest has the mean colour."""
    image = np.full([50, 100, 3], 255, np.uint8)
    square, scale = detector.square(tf.constant(image))
    assert scale == 1.28 and square.shape == (_SIZE_PX, _SIZE_PX, 3)
    white = (1.0 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.25, 0.3])
    np.testing.assert_allclose(square[:64], np.broadcast_to(white, [64, _SIZE_PX, 3]), rtol=1e-4)
    assert not square[64:].numpy().any()


def test_detected_boxes_are_in_pixels_of_the_image(detector):
    """Deltas of zero give the anchors. Entries after the number of detections are -1."""
    squares = tf.zeros([2, _SIZE_PX, _SIZE_PX, 3])
    anchors = tf.concat(list(detector.model.anchor_generator(squares).values()), axis=0).numpy()
    inside = np.flatnonzero((anchors.min(axis=1) >= 0) & (anchors.max(axis=1) <= _SIZE_PX))
    chosen = int(inside[len(inside) // 2])
    logits = np.full([2, len(anchors), 2], -9.0, np.float32)
    logits[0, chosen, 1] = 2.0
    predicted = {"bbox_regression": tf.zeros([2, len(anchors), 4]), "cls_logits": tf.constant(logits)}
    found = {
        name: value.numpy() for name, value in detector.decode(predicted, squares, tf.constant([0.5, 2.0])).items()
    }
    assert found["num_detections"].tolist() == [1, 0] and found["boxes"].shape == (2, MAX_DETECTIONS, 4)
    np.testing.assert_allclose(found["boxes"][0, 0], anchors[chosen] / 0.5, atol=1e-3)
    assert found["labels"][0, 0] == 1 and found["labels"][0, 1] == -1 and (found["boxes"][1] == -1).all()
    np.testing.assert_allclose(found["confidence"][0, 0], 1.0 / (1.0 + np.exp(-2.0)), rtol=1e-5)


def test_the_smallest_anchor_follows_the_boxes():
    """The smallest anchor is the fifth percentile of the sides at the network's scale, within bounds."""
    boxes = [np.array([[0, 0, side, side] for side in range(20, 121)], np.float32)]
    assert smallest_anchor_px(boxes, [0.5]) == pytest.approx(12.5)
    assert smallest_anchor_px(boxes, [0.1]) == 8.0 and smallest_anchor_px(boxes, [9.0]) == 32.0


def test_a_segmenter_classifies_every_pixel():
    """Gradients reach the backbone, and the backbone has the given weights."""
    encoder = _Encoder()
    model = build_segmenter(encoder, 3, size_px=64)
    images = tf.constant(np.random.default_rng(0).normal(size=[2, 64, 64, 3]).astype(np.float32))
    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = tf.reduce_mean(tf.square(logits))
    assert logits.shape == (2, 64, 64, 3)
    assert None not in tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    given = encoder.backbone.get_layer("stem").conv.kernel.value
    assert any(given.shape == v.shape and np.array_equal(given, v.value) for v in model.trainable_variables)


def test_a_missing_extra_gets_one_sentence(monkeypatch):
    """The error comes before any network is built."""
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"pip install 'seer_tf\[hub\]'"):
        Detector(_Encoder(), ("cat",), size_px=_SIZE_PX, smallest_anchor_px=12.0)
    with pytest.raises(InputError, match=r"pip install 'seer_tf\[hub\]'"):
        build_segmenter(_Encoder(), 2, size_px=64)


def test_sizes_that_do_not_fit_are_refused(detector):
    """Each error is one sentence."""
    with pytest.raises(InputError, match="multiple of 128 px, not 200 px"):
        Detector(_Encoder(), ("cat",), size_px=200, smallest_anchor_px=12.0)
    with pytest.raises(InputError, match="multiple of 32 px, not 200 px"):
        build_segmenter(_Encoder(), 2, size_px=200)
