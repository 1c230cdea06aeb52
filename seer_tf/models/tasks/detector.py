"""RetinaNet (Lin et al. 2017) on a RegNetY, by KerasHub.

Four things of KerasHub 0.32 are mended here. It gives the prior of the focal loss (that one anchor in a hundred is a
thing) to the head of the boxes instead of that of the classes, so that a fresh detector sees things everywhere and all
boxes far off. It draws the kernels of the heads with a deviation of 0.05 instead of the paper's 0.01, which makes the
first boxes so wild that hundreds of steps are spent on calming them. It leaves a box that no anchor overlaps by half
without an anchor: of the platelets of BCCD at 256 px every seventh. And its anchors suppose that level P_n has a
stride of 2^n, so the stem's stride is 2 here, whatever it was.

Shapes: B images, H x W pixels, S side of the square that the network sees, A anchors, N boxes at most.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone
from seer_tf.models.encoder import Encoder

MAX_DETECTIONS = 100  # as COCO counts
_LEVELS = (3, 7)
_PRIOR = 0.01  # section 4.1
_DEVIATION = 0.01  # section 4.1: of the kernels of a fresh head
_MIN_CONFIDENCE = 0.05  # section 4.1: what is below is not decoded
_MAX_OVERLAP = 0.5
_FORMAT = "xyxy"
_YXYX = [1, 0, 3, 2]  # from xyxy, and back


def check_size(size_px: int) -> None:
    """Raises an error if a detector cannot see squares of this side.

    Raises:
        InputError: it is no multiple of the stride of the coarsest level, 128.
    """
    stride = 2 ** _LEVELS[1]
    if size_px % stride:
        raise InputError(f"a detector sees squares of a multiple of {stride} px, not of {size_px} px")


class Detector:
    """A network from images to boxes.

    Attributes:
        model: KerasHub's, from normalised squares [B, S, S, 3] to logits and deltas of the anchors.
        class_names: Names of the classes, in the order of the labels.
        size_px: S, which the longer side of an image becomes.
        licence: Licence of the weights that training started from; empty if unknown.
    """

    def __init__(
        self,
        encoder: Encoder,
        class_names: Sequence[str],
        *,
        size_px: int,
        smallest_anchor_px: float,
        num_head_layers: int = 4,
    ) -> None:
        """Puts fresh heads on a copy of a backbone.

        Args:
            encoder: A backbone with at least four stages, and the normalisation of its images.
            class_names: Names of the classes.
            size_px: S, a multiple of 128, which is the stride of the coarsest level.
            smallest_anchor_px: Side of the smallest anchor on the finest level; the next are 1.26 times as large each.
            num_head_layers: Convolutions in each head before the last one.

        Raises:
            InputError: KerasHub is missing, the backbone has fewer stages, or `size_px` is no such multiple.
        """
        hub = keras_hub()
        check_size(size_px)
        self._encoder, self.class_names, self.size_px = encoder, tuple(class_names), size_px
        self.licence = encoder.licence
        pyramid = hub.models.RetinaNetBackbone(
            image_encoder=with_stem_stride_2(encoder.backbone),
            min_level=_LEVELS[0],
            max_level=_LEVELS[1],
            use_p5=False,
            image_shape=(size_px, size_px, 3),
        )
        self.model = hub.models.RetinaNetObjectDetector(
            pyramid,
            len(self.class_names),
            bounding_box_format=_FORMAT,
            anchor_generator=hub.layers.AnchorGenerator(
                _FORMAT,
                min_level=_LEVELS[0],
                max_level=_LEVELS[1],
                num_scales=3,
                aspect_ratios=[0.5, 1.0, 2.0],
                anchor_size=smallest_anchor_px / 2 ** _LEVELS[0],
            ),
            pre_logits_num_conv_layers=num_head_layers,
        )
        _start_afresh(self.model.box_head, bias=0.0)
        _start_afresh(self.model.classification_head, bias=-math.log((1.0 - _PRIOR) / _PRIOR))
        # Every box gets the anchor that overlaps it most, as in torchvision and Detectron.
        self.model.label_encoder.box_matcher.force_match_for_each_col = True

    def square(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes the longer side of an image S, normalises it, and fills the square up with the mean.

        Args:
            image: Uint8 [H, W, 3].

        Returns:
            Float32 [S, S, 3], and by what the image was scaled, float32 [].
        """
        sides = tf.cast(tf.shape(image)[:2], tf.float32)
        scale = self.size_px / tf.reduce_max(sides)
        scaled = tf.maximum(1, tf.cast(tf.round(sides * scale), tf.int32))
        pixels = self._encoder.normalize(tf.image.resize(image, scaled, antialias=True))
        padding = [[0, self.size_px - scaled[0]], [0, self.size_px - scaled[1]], [0, 0]]
        return tf.ensure_shape(tf.pad(pixels, padding), [self.size_px, self.size_px, 3]), scale

    def detect(self, squares: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Finds the things in squares.

        Args:
            squares: Float32 [B, S, S, 3], as by `square`.
            scales: Float32 [B], as by `square`.

        Returns:
            `boxes`, float32 [B, N, 4], left, top, right and bottom in pixels of the images; `confidence`, float32
            [B, N], falling; `labels`, int32 [B, N], positions in `class_names`; `num_detections`, int32 [B]: what is
            behind them is -1.
        """
        return self.decode(self.model(squares, training=False), squares, scales)

    def decode(self, predicted: Mapping[str, tf.Tensor], squares: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what `detect` does, of the model's outputs for these squares."""
        anchors = tf.concat(list(self.model.anchor_generator(squares).values()), axis=0)  # [A, 4]
        boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=anchors,
            boxes_delta=predicted["bbox_regression"],
            encoded_format=self.model.label_encoder.encoding_format,
            anchor_format=_FORMAT,
            box_format=_FORMAT,
            image_shape=(self.size_px, self.size_px, 3),
        )  # [B, A, 4]
        # TensorFlow's, class by class: KerasHub's takes no batch of unknown size, and all classes together.
        found = tf.image.combined_non_max_suppression(
            tf.gather(boxes, _YXYX, axis=-1)[:, :, None],
            tf.sigmoid(predicted["cls_logits"]),
            max_output_size_per_class=MAX_DETECTIONS,
            max_total_size=MAX_DETECTIONS,
            iou_threshold=_MAX_OVERLAP,
            score_threshold=_MIN_CONFIDENCE,
            clip_boxes=False,
        )
        is_there = tf.range(MAX_DETECTIONS) < found.valid_detections[:, None]  # [B, N]
        inside = tf.clip_by_value(tf.gather(found.nmsed_boxes, _YXYX, axis=-1), 0.0, float(self.size_px))
        return {
            "boxes": tf.where(is_there[..., None], inside / scales[:, None, None], -1.0),
            "confidence": tf.where(is_there, found.nmsed_scores, -1.0),
            "labels": tf.where(is_there, tf.cast(found.nmsed_classes, tf.int32), -1),
            "num_detections": found.valid_detections,
        }


def with_stem_stride_2(backbone: Backbone) -> Backbone:
    """Returns a copy of a backbone, weights and all, whose level P_n has a stride of 2^n, up to P5.

    Raises:
        InputError: the backbone has fewer than four stages.
    """
    if "P5" not in backbone.pyramid_outputs:
        raise InputError(
            f"detection and segmentation need four stages, and {backbone.variant} has "
            f"{len(backbone.pyramid_outputs) - 1}; pretrain another network, e.g. with `backbone.variant=200MF`"
        )
    copy = backbone.remade(stem_stride=2)
    copy.set_weights(backbone.get_weights())
    return copy


def smallest_anchor_px(boxes: Sequence[np.ndarray], scales: Sequence[float]) -> float:
    """Returns the side of the smallest anchor for a set of boxes: small enough for all but the smallest few.

    Args:
        boxes: Float [n, 4] for each image: left, top, right and bottom in pixels.
        scales: Factor by which each image will be scaled.

    Returns:
        The fifth percentile of the square roots of areas, between 8 px, below which the finest level, of stride 8,
        cannot tell neighbours apart, and RetinaNet's own 32 px (section 4).
    """
    sides = np.concatenate(
        [scale * np.sqrt(np.prod(part[:, 2:] - part[:, :2], axis=1)) for part, scale in zip(boxes, scales, strict=True)]
    )
    return float(np.clip(np.percentile(sides, 5), 8.0, 32.0))


def keras_hub() -> Any:
    """Returns KerasHub.

    Raises:
        InputError: it is not installed.
    """
    try:
        import keras_hub  # only here: an extra, and it takes seconds to import
    except ImportError:
        raise InputError(
            "detection and segmentation need KerasHub, which is not installed: pip install 'seer_tf[hub]'"
        ) from None
    return keras_hub


def _start_afresh(head: keras.layers.Layer, *, bias: float) -> None:
    """Draws the kernels of a head anew, and sets the bias of its last convolution."""
    for convolution in (*head.conv_layers, head.prediction_layer):
        convolution.kernel.assign(keras.initializers.RandomNormal(stddev=_DEVIATION)(convolution.kernel.shape))
    head.prediction_layer.bias.assign(tf.fill(head.prediction_layer.bias.shape, bias))
