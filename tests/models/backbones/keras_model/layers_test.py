"""Layers of Keras in the form that a backbone needs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.models.backbones.keras_model.layers import FixedNormalization, translated

_IMAGES = np.random.default_rng(0).uniform(0, 255, [2, 4, 5, 3]).astype(np.float32)
_MEAN, _VARIANCE = [120.0, 110.0, 100.0], [3400.0, 3300.0, 0.0]


def _translated(layer: keras.layers.Layer) -> keras.layers.Layer:
    keras.Sequential([keras.Input([4, 5, 3]), layer])
    return translated(layer, policy=keras.DTypePolicy("mixed_float16"), norm={}, stem="")


@pytest.mark.parametrize("axis", [-1, 3])
def test_given_numbers_become_constants_of_the_graph(axis: int) -> None:
    layer = keras.layers.Normalization(axis=axis, mean=_MEAN, variance=_VARIANCE, name="numbers")
    found = _translated(layer)
    assert isinstance(found, FixedNormalization) and found.name == "numbers" and found.compute_dtype == "float32"
    np.testing.assert_allclose(found(_IMAGES), layer(_IMAGES), rtol=1e-6)
    assert not tf.function(found).get_concrete_function(tf.TensorSpec(_IMAGES.shape)).captured_inputs
    again = FixedNormalization.from_config(found.get_config())
    np.testing.assert_array_equal(again(_IMAGES), found(_IMAGES))


@pytest.mark.parametrize("settings", [{}, {"mean": _MEAN, "variance": _VARIANCE, "invert": True}])
def test_other_normalizations_stay(settings: dict[str, object]) -> None:
    assert type(_translated(keras.layers.Normalization(**settings))) is keras.layers.Normalization
