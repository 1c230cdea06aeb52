"""Small tensors are joined and come back; results are those of the single tensors."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.optimizers import packing as module
from seer_tf.optimizers.packing import Packing

_SHAPES = [tf.TensorShape(shape) for shape in ((4,), (200, 100), (3,), (), (2, 2), (5,))]
_KINDS = ["a", "a", "a", "b", "a", "a"]


def _tensors() -> list[tf.Tensor]:
    random = np.random.default_rng(0)
    return [tf.constant(random.normal(size=shape), tf.float64) for shape in _SHAPES]


def test_small_tensors_of_a_kind_are_joined_and_come_back() -> None:
    packing, tensors = Packing(_SHAPES, _KINDS), _tensors()
    assert packing.groups == [[2, 0, 4, 5], [1], [3]] and 200 * 100 > module._SMALL_ON_CPU
    joined = packing.joined(tensors)
    assert [tensor.shape.as_list() for tensor in joined] == [[16], [200, 100], []]
    for tensor, back in zip(tensors, packing.separated(joined), strict=True):
        np.testing.assert_array_equal(back, tensor)


def test_a_gpu_joins_larger_tensors_with_the_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.gpus, "are_used", lambda: True)
    packing = Packing(_SHAPES, _KINDS)
    assert packing.groups == [[2, 0, 4, 5, 1], [3]] and 200 * 100 <= module._SMALL_ON_GPU
    test_one_value_for_each_tensor_meets_each_of_its_numbers()
    test_sums_of_squares_are_those_of_the_tensors()


def test_one_value_for_each_tensor_meets_each_of_its_numbers() -> None:
    packing, tensors = Packing(_SHAPES, _KINDS), _tensors()
    values = tf.constant([2.0, 3.0, 5.0, 7.0, 11.0, 13.0], tf.float64)
    products = [x * value for x, value in zip(packing.joined(tensors), packing.spread(values), strict=True)]
    for tensor, value, product in zip(tensors, values, packing.separated(products), strict=True):
        np.testing.assert_array_equal(product, tensor * value)


def test_sums_of_squares_are_those_of_the_tensors() -> None:
    packing, tensors = Packing(_SHAPES, _KINDS), _tensors()
    found = packing.in_order(packing.l2_losses(packing.joined(tensors)))
    np.testing.assert_allclose(found, [np.square(tensor).sum() / 2 for tensor in tensors], rtol=1e-12)
