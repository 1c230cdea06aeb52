"""Fine-tuning of a detector, from images with boxes to a SavedModel and its precision on other images."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from seer_tf.api import tables
from seer_tf.data.images import acceptance
from seer_tf.data.pipelines.detection import BoxedImage, BoxedImages, check_split, describe_remarks, open_boxes
from seer_tf.errors import InputError
from seer_tf.evaluation.features.fingerprints import fingerprints, unshared
from seer_tf.evaluation.protocols.detection import (
    AveragePrecision,
    Detections,
    coco_average_precision,
    detect,
    fit,
    pycocotools,
)
from seer_tf.exporting.writers.detector import write_detector
from seer_tf.files.new_directory import new_directory
from seer_tf.files.system_errors import takes_paths
from seer_tf.models.tasks.detector import Detector, check_size, smallest_anchor_px
from seer_tf.networks.load import backbone_metadata, check_network, load_network
from seer_tf.networks.network import Network
from seer_tf.quantities import counted, percent
from seer_tf.reports.prediction_sheet import Box, PredictedImage, write_prediction_sheet

_NUM_SHOWN = 24
_MIN_SHOWN_CONFIDENCE = 0.3


@dataclasses.dataclass(frozen=True)
class TunedDetector:
    """A fine-tuned detector.

    Attributes:
        path: Directory with the SavedModel, `metadata.json` and `predictions.html`.
        precision: COCO's average precision on the test split.
        num_test_images: Number of test images.
        largest_difference: Largest difference of the SavedModel's outputs in a fresh process.
        account: Settings and precision, as `metadata.json` has them.
    """

    path: str
    precision: AveragePrecision
    num_test_images: int
    largest_difference: float
    account: Mapping[str, Any]

    def __fspath__(self) -> str:
        """Returns the path."""
        return self.path

    def lines(self) -> list[str]:
        """Returns the precision of all classes and of each class, and a sentence about the files."""
        whole = f"mAP {percent(self.precision.map)}, mAP50 {percent(self.precision.map50)}"
        return [
            f"{whole} on {counted(self.num_test_images, 'image')}",
            *(f"  {name}: AP50 {percent(value)}" for name, value in self.precision.ap50.items()),
            f"{self.path}: SavedModel, largest difference in a fresh process {self.largest_difference:.1e}; "
            "predictions.html",
        ]

    def to_json(self) -> str:
        """Returns the account as one line."""
        return json.dumps(self.account)

    def _repr_html_(self) -> str:
        """Returns the precision as a table."""
        whole = {"mAP": percent(self.precision.map), "mAP50": percent(self.precision.map50)}
        of_classes = {f"{name}, AP50": percent(value) for name, value in self.precision.ap50.items()}
        return tables.facts({"detector": self.path, **whole, **of_classes})


@takes_paths
def finetune_detector(
    model: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    boxes: str | os.PathLike[str],
    train_split: str = "train",
    test_split: str = "test",
    untrained: bool = False,
    size_px: int = 512,
    num_steps: int = 2000,
    batch_size: int = 8,
    learning_rate: float = 1e-3,
    num_head_layers: int = 4,
    seed: int = 0,
) -> TunedDetector:
    """Fine-tunes RetinaNet on a network's backbone, and writes it as a SavedModel that needs only TensorFlow.

    Args:
        model: A run, one of its checkpoints, a conversion, a `.keras` file, or a model from `load`.
        output_dir: Directory to write; must not exist.
        boxes: Images with boxes: a directory in the layout of COCO or Pascal VOC.
        train_split: Split to fit on.
        test_split: Split to measure the precision on.
        untrained: Whether the backbone has fresh weights.
        size_px: Side of the square that the network sees, in pixels; a multiple of 128.
        num_steps: Number of training steps.
        batch_size: Number of images in a batch.
        learning_rate: Learning rate at the end of the warm-up.
        num_head_layers: Number of convolutions in each head before its last one.
        seed: Seed of fresh weights, order and mirroring.

    Raises:
        InputError: An argument is wrong, KerasHub or pycocotools is missing, or the images cannot be used. Nothing is
            written.
    """
    place, directory = (os.path.expanduser(os.fspath(path)) for path in (model, boxes))
    output = os.path.expanduser(os.fspath(output_dir))
    work = _Work(
        place,
        directory,
        train_split,
        test_split,
        untrained,
        size_px,
        num_steps,
        batch_size,
        learning_rate,
        num_head_layers,
        seed,
    )
    work.check()
    with new_directory(output) as unfinished:
        precision, num_test_images, difference = work.write(unfinished)
    return TunedDetector(output, precision, num_test_images, difference, work.account(precision))


@dataclasses.dataclass(frozen=True)
class _Work:
    """The arguments of `finetune_detector`, with paths as text."""

    model: str
    boxes: str
    train_split: str
    test_split: str
    untrained: bool
    size_px: int
    num_steps: int
    batch_size: int
    learning_rate: float
    num_head_layers: int
    seed: int

    def check(self) -> None:
        """Raises an `InputError` for an argument that is wrong. Reads no image."""
        pycocotools()  # raises if the library is missing, before the long fitting
        for name in ("num_steps", "batch_size", "num_head_layers"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}={getattr(self, name)}` must be 1 or more")
        check_size(self.size_px)
        check_network(self.model)
        for split in (self.train_split, self.test_split):
            check_split(self.boxes, split)
        if self.train_split == self.test_split:
            raise InputError(f"`train_split` and `test_split` are both {self.test_split}; give two different splits")

    def write(self, directory: Path) -> tuple[AveragePrecision, int, float]:
        """Fits the detector and writes its files. Returns precision, number of test images and largest difference."""
        train, test = self._images()
        network = self._network()
        detector = self._detector(network, train)
        fit(
            detector,
            train,
            num_steps=self.num_steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            seed=self.seed,
        )
        found = detect(detector, test.images, batch_size=self.batch_size)
        precision = coco_average_precision(test, found)
        metadata = {**network.metadata, "detection": self.account(precision)}
        difference = write_detector(detector, directory, _pixels(test.images[0])[np.newaxis], metadata)
        summary = f"mAP {precision.map:.3f}, mAP50 {precision.map50:.3f}."
        shown = _shown(test, found)
        write_prediction_sheet(shown, directory / "predictions.html", title=f"Found in {self.boxes}", summary=summary)
        return precision, len(test.images), difference

    def account(self, precision: AveragePrecision) -> dict[str, Any]:
        """Returns settings and precision as JSON types; a class without boxes has no precision."""
        return {
            "evaluation": "detection",
            "model": self.model,
            "untrained": self.untrained,
            "train_data": f"{self.boxes}@{self.train_split}",
            "test_data": f"{self.boxes}@{self.test_split}",
            "num_steps": self.num_steps,
            "size_px": self.size_px,
            "seed": self.seed,
            "map": precision.map,
            "map50": precision.map50,
            "ap50": {name: None if math.isnan(value) else value for name, value in precision.ap50.items()},
        }

    def _images(self) -> tuple[BoxedImages, BoxedImages]:
        """Returns the training images, and the test images that are not files of the training split."""
        train = open_boxes(self.boxes, self.train_split)
        test = open_boxes(self.boxes, self.test_split, train.class_names)
        kept = unshared(_fingerprints(train), _fingerprints(test))
        test = dataclasses.replace(test, images=tuple(test.images[number] for number in kept))
        for sentence in describe_remarks([train, test]):
            logging.warning("%s", sentence)
        return train, test

    def _network(self) -> Network:
        """Returns the network with its backbone in float32, and with fresh weights if it is to be untrained."""
        keras.utils.set_random_seed(self.seed)
        network = load_network(self.model).selected("backbone")
        if not self.untrained:
            return network
        fresh = network.backbone.remade(licence="")
        return dataclasses.replace(network, backbone=fresh, metadata=backbone_metadata(fresh))

    def _detector(self, network: Network, train: BoxedImages) -> Detector:
        scales = [self.size_px / max(image.width_px, image.height_px) for image in train.images]
        return Detector(
            network,
            train.class_names,
            size_px=self.size_px,
            smallest_anchor_px=smallest_anchor_px([image.boxes for image in train.images], scales),
            num_head_layers=self.num_head_layers,
        )


def _fingerprints(images: BoxedImages) -> np.ndarray:
    return fingerprints(lambda number: images.images[number].file.read_bytes(), len(images.images))


def _pixels(image: BoxedImage) -> np.ndarray:
    return acceptance.upright(image.file.read_bytes())


def _shown(test: BoxedImages, found: Sequence[Detections]) -> list[PredictedImage]:
    """Returns the first test images with their boxes and the confident detections."""
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
    return shown
