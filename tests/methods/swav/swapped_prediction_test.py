"""Swapped prediction: released numbers, equations, and invariants."""

import math

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.methods.swav.sinkhorn import sinkhorn
from seer_tf.methods.swav.swapped_prediction import swapped_prediction
from tests import places
from tests.references import swapped_prediction as oracle

GOLDEN = np.load(places.GOLDEN / "swav_loss.npz")


def inputs(num_crops: int, num_assigning: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(num_crops)
    scores = random.uniform(-0.6, 0.6, (num_crops, 5, 7))
    return scores, random.dirichlet(np.full(7, 0.3), (num_assigning, 5))


def loss_and_gradient(scores: np.ndarray, codes: np.ndarray, temperature: float) -> tuple[tf.Tensor, tf.Tensor]:
    variable = tf.Variable(scores)
    with tf.GradientTape() as tape:
        loss = swapped_prediction(variable, tf.constant(codes), temperature=temperature)
    return loss, tape.gradient(loss, variable)


@pytest.mark.parametrize("case", range(3))
def test_equals_the_released_code_with_its_gradient(case: int) -> None:
    golden = {name.split("_", 1)[1]: GOLDEN[name] for name in GOLDEN.files if name.startswith(f"case{case}_")}
    codes = sinkhorn(
        tf.constant(golden["scores"][:2]),
        epsilon=float(golden["epsilon"]),
        num_iterations=int(golden["iterations"]),
    )
    loss, gradient = loss_and_gradient(golden["scores"], codes.numpy(), float(golden["temperature"]))
    np.testing.assert_allclose(loss, golden["loss"], rtol=1e-6)
    np.testing.assert_allclose(gradient, golden["gradient"], atol=1e-6 * np.abs(golden["gradient"]).max(), rtol=0)


@pytest.mark.parametrize(("num_crops", "num_assigning"), [(2, 1), (2, 2), (6, 2), (4, 3)])
def test_equals_the_equations_with_its_gradient(num_crops: int, num_assigning: int) -> None:
    scores, codes = inputs(num_crops, num_assigning)
    loss, gradient = loss_and_gradient(scores, codes, 0.1)
    np.testing.assert_allclose(loss, oracle.swapped_prediction(scores, codes, temperature=0.1), rtol=1e-12)
    expected = oracle.swapped_prediction_gradient(scores, codes, temperature=0.1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14)


def test_no_crop_predicts_its_own_code() -> None:
    scores, codes = inputs(3, 1)
    _, gradient = loss_and_gradient(scores, codes, 0.1)
    assert not np.any(gradient[0])
    assert np.all(np.any(gradient[1:], axis=(1, 2)))


def test_the_codes_get_no_gradient() -> None:
    scores, codes = inputs(3, 2)
    variable = tf.Variable(codes)
    with tf.GradientTape() as tape:
        loss = swapped_prediction(tf.constant(scores), variable, temperature=0.1)
    assert tape.gradient(loss, variable) is None


def test_is_ln_k_for_equal_scores() -> None:
    loss = swapped_prediction(tf.zeros([4, 3, 50]), tf.fill([2, 3, 50], 1 / 50), temperature=0.1)
    np.testing.assert_allclose(loss, math.log(50), rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_scores_are_summed_in_float32(dtype: tf.DType) -> None:
    scores, codes = inputs(6, 2)
    loss = swapped_prediction(tf.cast(scores, dtype), tf.cast(codes, tf.float32), temperature=0.1)
    assert loss.dtype == tf.float32
    exact = oracle.swapped_prediction(tf.cast(tf.cast(scores, dtype), tf.float64).numpy(), codes, temperature=0.1)
    np.testing.assert_allclose(loss, exact, rtol=1e-5)


def test_is_finite_for_large_scores() -> None:
    scores = 1e4 * np.sign(np.random.default_rng(0).normal(size=(3, 4, 5))).astype(np.float32)
    codes = sinkhorn(tf.constant(scores[:2]), epsilon=0.05, num_iterations=3)
    loss, gradient = loss_and_gradient(scores, codes.numpy(), 0.1)
    assert np.isfinite(loss) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize(("num_crops", "num_assigning"), [(1, 1), (2, 3)])
def test_refuses_crops_that_cannot_be_swapped(num_crops: int, num_assigning: int) -> None:
    with pytest.raises(InputError, match="two or more crops"):
        swapped_prediction(tf.zeros([num_crops, 2, 3]), tf.zeros([num_assigning, 2, 3]), temperature=0.1)


def test_refuses_a_temperature_of_zero() -> None:
    with pytest.raises(InputError, match="temperature"):
        swapped_prediction(tf.zeros([2, 2, 3]), tf.zeros([2, 2, 3]), temperature=0.0)
