"""Detection: fine-tunes a detector on images with boxes, and measures COCO's mean average precision.

Shapes: B images, S side of the square that the network sees, M largest number of boxes in an image, N largest number
of detections.
"""

import contextlib
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf.data.images.decode import decode_image
from seer_tf.data.pipelines.detection import BoxedImage, BoxedImages
from seer_tf.errors import InputError
from seer_tf.models.tasks.detector import Detector
from seer_tf.progress import Progress

_WARMUP_FRACTION = 0.1
_WEIGHT_DECAY = 1e-4  # RetinaNet, section 4.1
_GRADIENT_NORM = 10.0
_NO_BOX = -1.0  # KerasHub's value for padding


@dataclasses.dataclass(frozen=True)
class Detections:
    """Detections in one image, the most confident first.

    Attributes:
        boxes: Float32 [n, 4], left, top, right and bottom in pixels of the image.
        labels: Int32 [n], positions in the detector's `class_names`.
        confidence: Float32 [n].
    """

    boxes: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """COCO's average precision, as fractions.

    Attributes:
        map: Mean over classes and over overlaps (IoU) from 0.5 to 0.95.
        map50: Mean over classes at an overlap of 0.5.
        ap50: Average precision at an overlap of 0.5 by class name; nan for a class without boxes.
    """

    map: float
    map50: float
    ap50: dict[str, float]


def fit(
    detector: Detector,
    images: BoxedImages,
    *,
    num_steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int = 0,
) -> float:
    """Fits backbone and heads with AdamW. The learning rate has a linear warm-up, then a cosine decay to zero.

    Args:
        detector: Detector with the class names of the images; changed in place.
        images: Images to fit on; they are mirrored at random.
        num_steps: Number of steps.
        batch_size: Number of images in a step.
        learning_rate: Learning rate at the end of the warm-up.
        seed: Seed of order and mirroring.

    Returns:
        Mean of the losses over all steps.

    Raises:
        InputError: There are fewer images than a batch needs, or the loss is not finite.
    """
    if len(images.images) < batch_size:
        raise InputError(
            f"`batch_size={batch_size}` is more than the {len(images.images)} training images; lower the batch size"
        )
    warmup_steps = math.ceil(_WARMUP_FRACTION * num_steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, num_steps - warmup_steps), warmup_target=learning_rate, warmup_steps=warmup_steps
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=_WEIGHT_DECAY, global_clipnorm=_GRADIENT_NORM)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # RetinaNet's box loss changes from square to linear near 0.1 of an anchor. KerasHub's Huber loss changes at 1, so
    # it is almost zero for a box that is off by a tenth of its anchor. L1, as in torchvision, is linear everywhere.
    box_loss = keras.losses.MeanAbsoluteError(reduction="sum")
    # By default Keras would use XLA, whose gradient of grouped convolutions is slow on CPUs.
    detector.model.compile(optimizer=optimizer, box_loss=box_loss, jit_compile=False)
    batches = _training_batches(detector, images, batch_size, seed).take(num_steps)
    with Progress(num_steps, "step", "fitting the detector") as progress:
        advance = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda step, logs: progress.advance(note=f"loss {logs['loss']:.3f}")
        )
        history = detector.model.fit(
            batches, callbacks=[advance, keras.callbacks.TerminateOnNaN()], verbose=0, shuffle=False
        )
    loss = float(history.history["loss"][-1])
    if not math.isfinite(loss):
        raise InputError(f"the detector's loss became {loss} with `learning_rate={learning_rate:g}`; lower that rate")
    return loss


def detect(detector: Detector, images: Sequence[BoxedImage], *, batch_size: int) -> list[Detections]:
    """Returns the detections in each image, in order."""

    @tf.function
    def found_in(squares: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        return detector.detect(squares, scales)

    detections = []
    squares = _squares(detector, images).map(lambda square, scale, number: (square, scale))
    with Progress(len(images), "image", "detecting") as progress:
        for batch in squares.batch(batch_size):
            found = {name: value.numpy() for name, value in found_in(*batch).items()}
            for row, num in enumerate(found["num_detections"]):
                detections.append(Detections(*(found[name][row, :num] for name in ("boxes", "labels", "confidence"))))
            progress.advance(len(batch[0]))
    return detections


def pycocotools() -> tuple[Any, Any]:
    """Returns the modules `coco` and `cocoeval` of pycocotools.

    Raises:
        InputError: pycocotools is not installed.
    """
    try:
        from pycocotools import coco, cocoeval  # imported here, because it is an optional dependency
    except ImportError:
        raise InputError("COCO's mAP needs pycocotools, which is not installed: pip install 'seer_tf[hub]'") from None
    return coco, cocoeval


def coco_average_precision(images: BoxedImages, detections: Sequence[Detections]) -> AveragePrecision:
    """Compares detections with boxes by pycocotools. Boxes to be ignored are passed to it as crowds.

    Args:
        images: Images with their boxes.
        detections: Detections of each image, with labels in the images' `class_names`.

    Raises:
        InputError: pycocotools is missing.
    """
    coco, cocoeval = pycocotools()
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints much text
        truth = coco.COCO()
        truth.dataset = _coco_dataset(images)
        truth.createIndex()
        found = list(_coco_results(detections))
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(found) if found else coco.COCO(), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]  # [recalls, classes] at an overlap of 0.5, any size
    of_classes = [float(column.mean()) if column.max() > -1 else math.nan for column in precision.T]
    return AveragePrecision(
        float(evaluation.stats[0]), float(evaluation.stats[1]), dict(zip(images.class_names, of_classes, strict=True))
    )


def _coco_dataset(images: BoxedImages) -> dict[str, Any]:
    annotations = [
        {"image_id": number, "category_id": int(label), "bbox": _as_coco(box), "area": _area(box), "iscrowd": is_crowd}
        for number, image in enumerate(images.images)
        for is_crowd, boxes, labels in (
            (0, image.boxes, image.labels),
            (1, image.ignored_boxes, image.ignored_labels),
        )
        for box, label in zip(boxes, labels, strict=True)
    ]
    return {
        "info": {},
        "images": [{"id": number} for number in range(len(images.images))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(images.class_names)],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }


def _coco_results(detections: Sequence[Detections]) -> Iterator[dict[str, Any]]:
    for number, found in enumerate(detections):
        for box, label, confidence in zip(found.boxes, found.labels, found.confidence, strict=True):
            yield {
                "image_id": number,
                "category_id": int(label),
                "bbox": _as_coco(box),
                "score": float(confidence),
            }


def _as_coco(box: np.ndarray) -> list[float]:
    left, top, right, bottom = map(float, box)
    return [left, top, right - left, bottom - top]


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def _squares(
    detector: Detector, images: Sequence[BoxedImage], *, numbers: tf.data.Dataset | None = None
) -> tf.data.Dataset:
    """Yields square, scale and number of each image, in the order of `numbers`."""
    files = tf.constant([str(image.file) for image in images])
    orientations = tf.constant([image.orientation for image in images])

    @tf.autograph.experimental.do_not_convert
    def read(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image = decode_image(tf.io.read_file(files[number]), orientations[number])
        return (*detector.square(image), number)

    numbers = tf.data.Dataset.range(len(images)) if numbers is None else numbers
    return numbers.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _training_batches(detector: Detector, images: BoxedImages, batch_size: int, seed: int) -> tf.data.Dataset:
    """Returns endless batches: squares float32 [B, S, S, 3], boxes [B, M + 1, 4] and labels [B, M + 1], padded by -1.

    The last row is padding in every image. KerasHub's matcher, when it must match every box, reads one row beyond the
    boxes; without this padding the row would not exist.
    """
    most = max(len(image.boxes) for image in images.images) + 1
    boxes = np.full([len(images.images), most, 4], _NO_BOX, np.float32)
    labels = np.full([len(images.images), most], _NO_BOX, np.float32)
    for number, image in enumerate(images.images):
        boxes[number, : len(image.boxes)], labels[number, : len(image.boxes)] = image.boxes, image.labels

    @tf.autograph.experimental.do_not_convert
    def mirrored(position: tf.Tensor, image: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        square, scale, number = image
        scaled = tf.gather(boxes, number) * scale  # [M + 1, 4]
        mirror = tf.random.stateless_uniform([], [seed, position]) < 0.5
        left, top, right, bottom = tf.unstack(scaled, axis=-1)
        flipped = tf.stack([detector.size_px - right, top, detector.size_px - left, bottom], axis=-1)
        is_box = tf.gather(labels, number)[:, None] != _NO_BOX
        placed = tf.where(is_box, tf.where(mirror, flipped, scaled), _NO_BOX)
        return tf.where(mirror, square[:, ::-1], square), {"boxes": placed, "labels": tf.gather(labels, number)}

    numbers = tf.data.Dataset.range(len(images.images)).shuffle(len(images.images), seed=seed).repeat()
    squares = _squares(detector, images.images, numbers=numbers).enumerate()
    return squares.map(mirrored).batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)
