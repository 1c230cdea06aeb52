"""Pixel features by name, as `extract` accepts them."""

from seer_tf.data.images.pixel_features import color_histogram, thumbnail
from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import ImageFeatures

PIXEL_FEATURES: dict[str, ImageFeatures] = {"histogram": color_histogram, "thumbnail": thumbnail}


def pixel_features(name: str) -> ImageFeatures:
    """Returns the pixel features with a name.

    Raises:
        InputError: No pixel features have this name.
    """
    if name not in PIXEL_FEATURES:
        raise InputError.unknown("kind of pixel features", name, PIXEL_FEATURES)
    return PIXEL_FEATURES[name]
