"""Features: every image once, in order, in inference mode. Features that are not finite are refused."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.evaluation.features.extract import extract, image_features
from seer_tf.methods.swav.model import SwavModel, build_swav_model
from seer_tf.models import pooled
from seer_tf.pretraining.recipes import recipe


@pytest.fixture(scope="module")
def model() -> SwavModel:
    """The smallest network, with moving statistics that differ from those of any batch."""
    model = build_swav_model(recipe("debug_tiny"))
    for number, variable in enumerate(model.non_trainable_variables):
        variable.assign(variable + 0.01 * (number % 7))
    return model


def _images(num_images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [num_images, 32, 32, 3], np.uint8)


def test_features_equal_the_pooled_backbone(model):
    """The images are normalised by hand.

    The test fails if mean and std are left out, or if batch norm is not in inference mode.
    """
    images = _images(7)
    config = recipe("debug_tiny").crops
    normalized = ((images / 255.0 - config.mean) / config.std).astype(np.float32)
    expected = pooled(model.backbone)(normalized, training=False)
    before = [variable.numpy() for variable in model.variables]
    features = image_features(model)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(3)
    found = extract(lambda batch: {"avgpool": features(batch)}, batches, 7)["avgpool"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_order_and_last_batch():
    """The test fails if a batch is dropped or batches are interleaved."""
    images = _images(11)
    mean = extract(
        lambda x: {"mean": tf.reduce_mean(tf.cast(x, tf.float64), [1, 2])},
        tf.data.Dataset.from_tensor_slices(images).batch(4),
        11,
    )["mean"]
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.mean(axis=(1, 2)), rtol=1e-6)


def test_another_number_of_images_is_refused():
    """The labels would belong to other images."""
    images = tf.data.Dataset.from_tensor_slices(_images(4)).batch(4)
    with pytest.raises(InputError, match="4 readable images instead of the 5"):
        extract(lambda x: {"pixel": tf.cast(x[:, 0, 0], tf.float32)}, images, 5)


def test_features_that_are_not_finite_are_refused():
    """One NaN in one image is enough."""
    images = tf.data.Dataset.from_tensor_slices(_images(4)).batch(4)
    with pytest.raises(InputError, match="not finite"):
        extract(lambda x: {"broken": tf.constant([[1.0], [2.0], [np.nan], [3.0]])}, images, 4)
