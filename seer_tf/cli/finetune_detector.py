"""Fine-tunes RetinaNet on a network's backbone, on images with boxes, and reports COCO's mean average precision."""

import dataclasses
import json
import math
from pathlib import Path

import keras
import numpy as np
from absl import flags, logging

from seer_tf.cli import command
from seer_tf.data.images import acceptance
from seer_tf.data.pipelines.detection import BoxedImage, BoxedImages, check_split, describe_remarks, open_boxes
from seer_tf.errors import InputError
from seer_tf.evaluation.features.fingerprints import fingerprints, unshared
from seer_tf.evaluation.protocols.detection import Detections, average_precision, detect, fit, pycocotools
from seer_tf.exporting.writers.detector import write_detector
from seer_tf.files.new_directory import new_directory
from seer_tf.models.tasks.detector import Detector, check_size, smallest_anchor_px
from seer_tf.networks.load import backbone_metadata, check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted, percent
from seer_tf.reports.prediction_sheet import Box, PredictedImage, write_prediction_sheet

MODEL = command.required(flags.DEFINE_string("model", None, "A run, a checkpoint, a conversion or a .keras file."))
UNTRAINED = flags.DEFINE_bool("untrained", False, "Use the same backbone with fresh weights.")
BOXES = command.required(
    flags.DEFINE_string("boxes", None, "Images with boxes: a directory in the layout of COCO or Pascal VOC.")
)
TRAIN_SPLIT = flags.DEFINE_string("train_split", "train", "Split to fit on.")
TEST_SPLIT = flags.DEFINE_string("test_split", "test", "Split to measure the precision on.")
OUTPUT = command.required(flags.DEFINE_string("output", None, "Directory to write; must not exist."))
SIZE_PX = flags.DEFINE_integer(
    "size_px", 512, "Side of the square that the network sees, in pixels; a multiple of 128.", lower_bound=128
)
NUM_STEPS = flags.DEFINE_integer("num_steps", 2000, "Number of training steps.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Number of images in a batch.", lower_bound=1)
LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Learning rate at the end of the warm-up.", lower_bound=0.0)
NUM_HEAD_LAYERS = flags.DEFINE_integer(
    "num_head_layers", 4, "Number of convolutions in each head before its last one.", lower_bound=1
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of fresh weights, order and mirroring.", 0, 2**32 - 1)

_NUM_SHOWN = 24
_MIN_SHOWN_CONFIDENCE = 0.3


def main() -> None:
    """Runs the command."""
    pycocotools()  # raises if the library is missing, before the long fitting
    check_size(SIZE_PX.value)
    check_network(MODEL.value)
    for split in (TRAIN_SPLIT.value, TEST_SPLIT.value):
        check_split(BOXES.value, split)
    if TRAIN_SPLIT.value == TEST_SPLIT.value:
        raise InputError(f"--train_split and --test_split are both {TEST_SPLIT.value}; give two different splits")
    with new_directory(OUTPUT.value) as directory:
        train = open_boxes(BOXES.value, TRAIN_SPLIT.value)
        test = open_boxes(BOXES.value, TEST_SPLIT.value, train.class_names)
        kept = unshared(_fingerprints(train), _fingerprints(test))
        test = dataclasses.replace(test, images=tuple(test.images[number] for number in kept))
        for sentence in describe_remarks([train, test]):
            logging.warning("%s", sentence)
        network = _network()
        detector = _detector(network, train)
        fit(
            detector,
            train,
            num_steps=NUM_STEPS.value,
            batch_size=BATCH_SIZE.value,
            learning_rate=LEARNING_RATE.value,
            seed=SEED.value,
        )
        found = detect(detector, test.images, batch_size=BATCH_SIZE.value)
        precision = average_precision(test, found)
        result = {
            "evaluation": "detection",
            "model": MODEL.value,
            "untrained": UNTRAINED.value,
            "train_data": f"{BOXES.value}@{TRAIN_SPLIT.value}",
            "test_data": f"{BOXES.value}@{TEST_SPLIT.value}",
            "num_steps": NUM_STEPS.value,
            "size_px": SIZE_PX.value,
            "seed": SEED.value,
            "map": precision.map,
            "map50": precision.map50,
            "ap50": {name: None if math.isnan(value) else value for name, value in precision.ap50.items()},
        }
        metadata = {**network.metadata, "detection": result}
        difference = write_detector(detector, directory, _pixels(test.images[0])[np.newaxis], metadata)
        _write_sheet(
            test, found, directory / "predictions.html", f"mAP {precision.map:.3f}, mAP50 {precision.map50:.3f}."
        )
    print(f"mAP {percent(precision.map)}, mAP50 {percent(precision.map50)} on {counted(len(test.images), 'image')}")
    for name, value in precision.ap50.items():
        print(f"  {name}: AP50 {percent(value)}")
    print(f"{OUTPUT.value}: SavedModel, largest difference in a fresh process {difference:.1e}; predictions.html")
    print(json.dumps(result), flush=True)


def _fingerprints(images: BoxedImages) -> np.ndarray:
    return fingerprints(lambda number: images.images[number].file.read_bytes(), len(images.images))


def _network() -> Network:
    """Returns the network of --model with its backbone in float32, and with fresh weights if --untrained is given."""
    keras.utils.set_random_seed(SEED.value)
    network = load_network(MODEL.value).selected("backbone")
    if UNTRAINED.value:
        fresh = network.backbone.remade(licence="")
        return dataclasses.replace(network, backbone=fresh, metadata=backbone_metadata(fresh))
    return network


def _detector(network: Network, train: BoxedImages) -> Detector:
    boxes = [image.boxes for image in train.images]
    scales = [SIZE_PX.value / max(image.width_px, image.height_px) for image in train.images]
    return Detector(
        network,
        train.class_names,
        size_px=SIZE_PX.value,
        smallest_anchor_px=smallest_anchor_px(boxes, scales),
        num_head_layers=NUM_HEAD_LAYERS.value,
    )


def _pixels(image: BoxedImage) -> np.ndarray:
    return acceptance.upright(image.file.read_bytes())


def _write_sheet(test: BoxedImages, found: list[Detections], path: Path, summary: str) -> None:
    shown = []
    for image, detections in list(zip(test.images, found, strict=True))[:_NUM_SHOWN]:
        rows = zip(detections.boxes.tolist(), detections.labels, detections.confidence.tolist(), strict=True)
        boxes = [
            Box(tuple(corners), test.class_names[label], confidence)
            for corners, label, confidence in rows
            if confidence >= _MIN_SHOWN_CONFIDENCE
        ]
        there = [
            Box(tuple(corners), test.class_names[label])
            for corners, label in zip(image.boxes.tolist(), image.labels, strict=True)
        ]
        shown.append(PredictedImage(image.file.name, _pixels(image), boxes, there))
    write_prediction_sheet(shown, path, title=f"Found in {BOXES.value}", summary=summary)
