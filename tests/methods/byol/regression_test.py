"""BYOL's loss equals NumPy's, its gradient equals central differences, and its momentum follows the schedule."""

import numpy as np
import tensorflow as tf

from seer_tf.methods.byol.regression import regression, target_momentum
from tests.references import byol as oracle
from tests.references.gradients import numerical_gradient


def _embeddings() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, 4, 5)), generator.normal(size=(2, 4, 5))


def test_the_loss_equals_the_equation() -> None:
    predictions, targets = _embeddings()
    found = regression(tf.constant(predictions), tf.constant(targets))
    np.testing.assert_allclose(found, oracle.regression(predictions, targets), rtol=1e-12)
    # A view must predict the target of the other view.
    assert abs(oracle.regression(predictions, targets[::-1]) - float(found)) > 0.01


def test_only_the_predictions_get_a_gradient() -> None:
    predictions, targets = map(tf.Variable, _embeddings())
    with tf.GradientTape() as tape:
        loss = regression(tf.convert_to_tensor(predictions), tf.convert_to_tensor(targets))
    found, of_targets = tape.gradient(loss, [predictions, targets])
    expected = numerical_gradient(lambda x: oracle.regression(x, targets.numpy()), predictions.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert of_targets is None


def test_the_momentum_rises_to_one_along_a_cosine() -> None:
    found = [float(target_momentum(tf.constant(step), start=0.996, num_steps=10)) for step in range(11)]
    expected = [oracle.momentum(step, start=0.996, num_steps=10) for step in range(11)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert (found[0], found[5], found[10]) == (0.996, 0.998, 1.0)
