"""COCO's metrics on detections with known precision, the training batches of a detector, and a fit."""

import dataclasses
import json
import math
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from seer_tf.data.pipelines.detection import BoxedImage, BoxedImages, open_boxes
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols import detection
from seer_tf.evaluation.protocols.detection import Detections, coco_average_precision, detect, fit
from seer_tf.models import RegNetY
from seer_tf.models.encoder import Encoder
from seer_tf.models.tasks.detector import Detector, smallest_anchor_px
from tests.real_images import REAL_IMAGES, needs_real_images

pytest.importorskip("keras_hub")
pytest.importorskip("pycocotools")

_SIZE_PX = 128


class _Encoder(Encoder):
    """An encoder with the smallest network in the table."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self.backbone = RegNetY("90MF")
        self.mean, self.std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> BoxedImages:
    """Two grey images of 160 x 80 px with a red and a blue square each, and one image with one square."""
    directory = tmp_path_factory.mktemp("boxes")
    generator = np.random.default_rng(0)
    found = []
    for number, labels in enumerate(([0, 1], [1, 0], [0])):
        pixels = np.full([80, 160, 3], 128, np.uint8)
        boxes = []
        for place, label in enumerate(labels):
            left, top = 10 + 75 * place + int(generator.integers(20)), int(generator.integers(5, 30))
            pixels[top : top + 40, left : left + 40] = [(220, 30, 30), (30, 30, 220)][label]
            boxes.append([left, top, left + 40, top + 40])
        file = directory / f"{number}.png"
        Image.fromarray(pixels).save(file)
        found.append(BoxedImage(file, 160, 80, 1, np.array(boxes, np.float32), np.array(labels, np.int64)))
    return BoxedImages(tuple(found), ("red", "blue"), {})


def _detections(images: BoxedImages, shift: float = 0.0) -> list[Detections]:
    return [
        Detections(image.boxes + shift, image.labels.astype(np.int32), np.full(len(image.boxes), 0.9, np.float32))
        for image in images.images
    ]


def test_coco_metrics_agree_with_known_precisions(images):
    """The true boxes are perfect. A class that is never found has precision zero, and so have boxes far away."""
    perfect = coco_average_precision(images, _detections(images))
    assert (perfect.map, perfect.map50) == pytest.approx((1.0, 1.0)) and set(perfect.ap50) == {"red", "blue"}
    assert coco_average_precision(images, _detections(images, shift=60.0)).map50 == pytest.approx(0.0)
    red = [
        Detections(found.boxes[keep], found.labels[keep], found.confidence[keep])
        for found in _detections(images)
        for keep in [found.labels == 0]
    ]
    of_red = coco_average_precision(images, red)
    assert of_red.map50 == pytest.approx(0.5) and of_red.ap50 == pytest.approx({"red": 1.0, "blue": 0.0})


def test_crowds_count_as_in_pycocotools(images, tmp_path):
    """Both read one JSON file. A detection in a crowd is neither right nor wrong, even if it is the most confident."""
    boxes = {0: [10, 10, 40, 40], 1: [60, 10, 80, 60]}  # the key says whether the box is a crowd
    content = {
        "info": {},
        "categories": [{"id": 0, "name": "red"}],
        "images": [{"id": 0, "file_name": images.images[0].file.name, "width": 160, "height": 80}],
        "annotations": [
            {
                "id": 1 + is_crowd,
                "image_id": 0,
                "category_id": 0,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": is_crowd,
            }
            for is_crowd, box in boxes.items()
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_test.json").write_text(json.dumps(content))
    (tmp_path / "test").symlink_to(images.images[0].file.parent)
    found = np.array([[62, 12, 82, 32], [90, 20, 110, 50], [10, 10, 50, 50]], np.float32)
    detections = Detections(found, np.zeros([3], np.int32), np.array([0.9, 0.8, 0.5], np.float32))
    ours = coco_average_precision(open_boxes(tmp_path, "test"), [detections])
    coco, cocoeval = detection.pycocotools()
    truth = coco.COCO(str(tmp_path / "annotations" / "instances_test.json"))
    theirs = cocoeval.COCOeval(truth, truth.loadRes(list(detection._coco_results([detections]))), "bbox")
    theirs.evaluate()
    theirs.accumulate()
    theirs.summarize()
    assert ours.map == theirs.stats[0] == pytest.approx(1.0)


def test_the_overlap_decides(images):
    """A shift of 4 px on 40 px both ways gives an overlap of 0.68: right from 0.5 to 0.65, wrong above."""
    found = coco_average_precision(images, _detections(images, shift=4.0))
    overlap = 36**2 / (2 * 40**2 - 36**2)
    assert found.map50 == pytest.approx(1.0)
    assert found.map == pytest.approx(np.mean([overlap >= threshold for threshold in np.arange(0.5, 1.0, 0.05)]))


def test_an_image_without_detections_is_no_error(images):
    """The precision is zero without detections, and NaN for a class without boxes."""
    nothing = [Detections(np.zeros([0, 4]), np.zeros([0], np.int32), np.zeros([0])) for _ in images.images]
    assert coco_average_precision(images, nothing).map50 == 0.0
    more = dataclasses.replace(images, class_names=("red", "blue", "green"))
    assert math.isnan(coco_average_precision(more, _detections(images)).ap50["green"])


def test_a_missing_extra_gets_one_sentence(images, monkeypatch):
    """A user who has only KerasHub sees this error."""
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"pip install 'seer_tf\[hub\]'"):
        coco_average_precision(images, _detections(images))


def test_boxes_follow_the_pixels(images):
    """The pixels inside a box have the colour of its class in every batch, flipped or not."""
    detector = Detector(_Encoder(), images.class_names, size_px=_SIZE_PX, smallest_anchor_px=16.0, num_head_layers=1)
    encoder = detector._encoder
    lefts = set()
    for squares, truth in detection._training_batches(detector, images, 3, seed=1).take(6):
        assert (truth["labels"][:, -1] == -1).numpy().all()  # the matcher needs at least one row of padding
        pixels = 255.0 * (squares.numpy() * np.array(encoder.std) + np.array(encoder.mean))
        for square, boxes, labels in zip(pixels, truth["boxes"].numpy(), truth["labels"].numpy(), strict=True):
            for box, label in zip(boxes, labels, strict=True):
                if label < 0:
                    assert (box == -1).all()
                    continue
                left, top, right, bottom = np.round(box).astype(int)
                expected = [(220, 30, 30), (30, 30, 220)][int(label)]
                inside = square[top + 3 : bottom - 3, left + 3 : right - 3]
                assert np.abs(inside - expected).max() < 8
                lefts.add(left)
    assert len(lefts) > 5  # there are five boxes, so some were flipped


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_move_the_backbone(images):
    """The loss is measured on one batch with all images. A batch larger than the set is refused."""
    detector = Detector(_Encoder(), images.class_names, size_px=_SIZE_PX, smallest_anchor_px=16.0, num_head_layers=1)
    kernel = detector.model.trainable_variables[0]
    before = kernel.value.numpy()
    first = fit(detector, images, num_steps=1, batch_size=3, learning_rate=1e-6)
    last = fit(detector, images, num_steps=8, batch_size=3, learning_rate=1e-4)
    assert last < first and np.any(kernel.value.numpy() != before)
    found = detect(detector, images.images, batch_size=2)
    assert len(found) == 3 and all(part.boxes.shape == (len(part.labels), 4) for part in found)
    with pytest.raises(InputError, match="`batch_size=4` is more than the 3 training images"):
        fit(detector, images, num_steps=1, batch_size=4, learning_rate=1e-3)


@pytest.mark.slow
@needs_real_images
def test_it_overfits_eight_images():
    """Eight images of blood cells at 256 px reach a mAP50 above 0.9, and mAP above 0.6."""
    images = open_boxes(REAL_IMAGES / "bccd" / "BCCD", "train")
    images = dataclasses.replace(images, images=images.images[:8])
    anchor = smallest_anchor_px([image.boxes for image in images.images], [256 / 640] * 8)
    detector = Detector(_Encoder(), images.class_names, size_px=256, smallest_anchor_px=anchor, num_head_layers=1)
    fit(detector, images, num_steps=120, batch_size=4, learning_rate=1e-3)
    precision = coco_average_precision(images, detect(detector, images.images, batch_size=4))
    assert precision.map50 > 0.9 and precision.map > 0.6
