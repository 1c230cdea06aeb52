"""RetinaNet (Lin et al. 2017) on a RegNetY, from KerasHub.

This module corrects four things in KerasHub 0.32:

- KerasHub gives the prior of the focal loss (one anchor in a hundred is an object) to the box head instead of the class
  head. A fresh detector then sees objects everywhere, and all its boxes are far off.
- KerasHub draws the kernels of the heads with a deviation of 0.05 instead of the paper's 0.01. The first boxes are then
  so far off that training needs hundreds of steps to correct them.
- KerasHub assigns no anchor to a box if no anchor overlaps the box by half. In BCCD at 256 px this happens to every
  seventh platelet.
- KerasHub's anchors assume that level P_n has a stride of 2^n. So the stem's stride is always 2 here.

Shapes: B images, H x W pixels, S side of the square that the network sees, A anchors, N boxes at most.
"""

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone
from seer_tf.models.encoder import Encoder
from seer_tf.models.hub import keras_hub

MAX_DETECTIONS = 100  # as COCO counts
_LEVELS = (3, 7)
_PRIOR = 0.01  # section 4.1
_DEVIATION = 0.01  # section 4.1: standard deviation of the kernels in a fresh head
_MIN_CONFIDENCE = 0.05  # section 4.1: less confident boxes are not decoded
_MAX_OVERLAP = 0.5
_FORMAT = "xyxy"
_YXYX = [1, 0, 3, 2]  # from xyxy, and back


def check_size(size_px: int) -> None:
    """Raises an error if a detector cannot see squares of this side.

    Raises:
        InputError: The side is not a multiple of 128, the stride of the coarsest level.
    """
    stride = 2 ** _LEVELS[1]
    if size_px % stride:
        raise InputError(f"a detector needs squares with a side that is a multiple of {stride} px, not {size_px} px")


class Detector:
    """A network from images to boxes.

    Attributes:
        model: KerasHub's model from normalised squares [B, S, S, 3] to the logits and deltas of the anchors.
        class_names: Names of the classes, in the order of the labels.
        size_px: S, the length to which the longer side of an image is resized.
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
            smallest_anchor_px: Side of the smallest anchor on the finest level. Each next anchor is 1.26 times as
                large as the one before.
            num_head_layers: Number of convolutions in each head before the last one.

        Raises:
            InputError: KerasHub is missing, the backbone has too few stages, or `size_px` is not a multiple of 128.
        """
        hub = keras_hub("detection")
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
        # Every box gets the anchor with the largest overlap, as in torchvision and Detectron.
        self.model.label_encoder.box_matcher.force_match_for_each_col = True

    def square(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes an image so that its longer side is S, normalises it, and pads it to a square with the mean.

        Args:
            image: Image, uint8 [H, W, 3].

        Returns:
            The square, float32 [S, S, 3], and the factor by which the image was scaled, float32 [].
        """
        sides = tf.cast(tf.shape(image)[:2], tf.float32)
        scale = self.size_px / tf.reduce_max(sides)
        scaled = tf.maximum(1, tf.cast(tf.round(sides * scale), tf.int32))
        pixels = self._encoder.normalize(tf.image.resize(image, scaled, antialias=True))
        padding = [[0, self.size_px - scaled[0]], [0, self.size_px - scaled[1]], [0, 0]]
        return tf.ensure_shape(tf.pad(pixels, padding), [self.size_px, self.size_px, 3]), scale

    def detect(self, squares: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detects objects in squares.

        Args:
            squares: Squares from `square`, float32 [B, S, S, 3].
            scales: Factors from `square`, float32 [B].

        Returns:
            `boxes`, float32 [B, N, 4], left, top, right and bottom in pixels of the images; `confidence`, float32
            [B, N], in falling order; `labels`, int32 [B, N], positions in `class_names`; `num_detections`, int32 [B].
            Entries after the last detection are -1.
        """
        return self.decode(self.model(squares, training=False), squares, scales)

    def decode(self, predicted: Mapping[str, tf.Tensor], squares: tf.Tensor, scales: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what `detect` returns, from the model's outputs for these squares."""
        anchors = tf.concat(list(self.model.anchor_generator(squares).values()), axis=0)  # [A, 4]
        boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
            anchors=anchors,
            boxes_delta=predicted["bbox_regression"],
            encoded_format=self.model.label_encoder.encoding_format,
            anchor_format=_FORMAT,
            box_format=_FORMAT,
            image_shape=(self.size_px, self.size_px, 3),
        )  # [B, A, 4]
        # TensorFlow's suppression treats each class separately. KerasHub's treats all classes together, and does not
        # take batches of unknown size.
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
    """Returns a copy of a backbone and its weights, in which level P_n has a stride of 2^n, up to P5.

    Raises:
        InputError: The backbone has no map for each of four resolutions.
    """
    if not {"P2", "P3", "P4", "P5"} <= backbone.pyramid_outputs.keys():
        num_stages = len(backbone.pyramid_outputs.keys() - {"P1"})
        raise InputError(
            f"detection and segmentation need four stages, but {backbone.variant} has {num_stages}; pretrain another "
            "network, e.g. with `backbone.variant=200MF`"
        )
    copy = backbone.remade(stem_stride=2)
    copy.set_weights(backbone.get_weights())
    return copy


def smallest_anchor_px(boxes: Sequence[np.ndarray], scales: Sequence[float]) -> float:
    """Returns the side of the smallest anchor for a set of boxes. It suits all boxes except the smallest few.

    Args:
        boxes: Float [n, 4] for each image: left, top, right and bottom in pixels.
        scales: Factor by which each image will be scaled.

    Returns:
        The fifth percentile of the square roots of the box areas, limited to 8 to 32 px. Below 8 px the finest level,
        which has a stride of 8, cannot tell neighbours apart. 32 px is RetinaNet's own value (section 4).
    """
    sides = np.concatenate(
        [scale * np.sqrt(np.prod(part[:, 2:] - part[:, :2], axis=1)) for part, scale in zip(boxes, scales, strict=True)]
    )
    return float(np.clip(np.percentile(sides, 5), 8.0, 32.0))


def _start_afresh(head: keras.layers.Layer, *, bias: float) -> None:
    """Draws new kernels for a head, and sets the bias of its last convolution."""
    for convolution in (*head.conv_layers, head.prediction_layer):
        convolution.kernel.assign(keras.initializers.RandomNormal(stddev=_DEVIATION)(convolution.kernel.shape))
    head.prediction_layer.bias.assign(tf.fill(head.prediction_layer.bias.shape, bias))
