"""DeepLabV3+ (Chen et al. 2018) on a RegNetY, from KerasHub: it predicts a class for every pixel."""

import keras

from seer_tf.errors import InputError
from seer_tf.models.encoder import Encoder
from seer_tf.models.hub import keras_hub
from seer_tf.models.tasks.detector import with_stem_stride_2

_DILATION_RATES = (6, 12, 18)  # section 3.1, at an output stride of 16; ours is 32
_STRIDE = 32


def build_segmenter(encoder: Encoder, num_classes: int, *, size_px: int) -> keras.Model:
    """Returns KerasHub's DeepLabV3+ with fresh heads on a copy of a backbone.

    Args:
        encoder: A backbone with four stages, and the normalisation of its images.
        num_classes: L, the number of classes including the background.
        size_px: S, the side of the images, a multiple of 32.

    Returns:
        A model from images normalised by `Encoder.normalize`, float32 [B, S, S, 3], to logits [B, S, S, L].

    Raises:
        InputError: KerasHub is missing, the backbone has too few stages, or `size_px` is not a multiple of 32.
    """
    hub = keras_hub("segmentation")
    if size_px % _STRIDE:
        raise InputError(f"a segmenter needs squares with a side that is a multiple of {_STRIDE} px, not {size_px} px")
    backbone = hub.models.DeepLabV3Backbone(
        image_encoder=with_stem_stride_2(encoder.backbone),
        spatial_pyramid_pooling_key="P5",
        low_level_feature_key="P2",
        upsampling_size=8,
        dilation_rates=list(_DILATION_RATES),
        image_shape=(size_px, size_px, 3),
    )
    return hub.models.DeepLabV3ImageSegmenter(backbone, num_classes)
