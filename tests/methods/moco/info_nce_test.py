"""MoCo's loss equals NumPy's, and its gradient equals central differences."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.methods.moco.info_nce import info_nce
from tests.references.gradients import numerical_gradient
from tests.references.info_nce import FAULTS
from tests.references.info_nce import info_nce as oracle


def _unit_rows(num_rows: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_rows, 5))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


_QUERIES, _KEYS, _QUEUE = _unit_rows(4, 0), _unit_rows(4, 1), _unit_rows(9, 2)


def test_the_loss_equals_the_equation() -> None:
    for temperature in (0.07, 0.2, 1.0):
        found = info_nce(*map(tf.constant, (_QUERIES, _KEYS, _QUEUE)), temperature=temperature).loss
        np.testing.assert_allclose(found, oracle(_QUERIES, _KEYS, _QUEUE, temperature=temperature), rtol=1e-12)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_loss(fault: str) -> None:
    right, wrong = (oracle(_QUERIES, _KEYS, _QUEUE, temperature=0.2, fault=each) for each in ("", fault))
    assert abs(wrong / right - 1) > 1e-3


def test_only_the_queries_get_a_gradient() -> None:
    queries, keys = tf.Variable(_QUERIES), tf.Variable(_KEYS)
    with tf.GradientTape() as tape:
        loss = info_nce(
            tf.convert_to_tensor(queries), tf.convert_to_tensor(keys), tf.constant(_QUEUE), temperature=0.2
        ).loss
    found, of_keys = tape.gradient(loss, [queries, keys])
    expected = numerical_gradient(lambda x: oracle(x, _KEYS, _QUEUE, temperature=0.2), _QUERIES)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert of_keys is None


def test_accuracy_is_the_fraction_of_images_whose_own_key_is_nearest() -> None:
    keys = _QUERIES.copy()
    queue = np.concatenate([_QUEUE, _QUERIES[:1]])
    keys[0] = -keys[0]  # the nearest key of the first image is in the queue
    assert float(info_nce(*map(tf.constant, (_QUERIES, keys, queue)), temperature=0.2).accuracy) == 3 / 4
