"""The diagnostics of collapse, on inputs with known values."""

import numpy as np
import tensorflow as tf

from seer_tf.methods.swav import diagnostics


def one_hot(indices: list[int], num_prototypes: int) -> tf.Tensor:
    return tf.constant(np.eye(num_prototypes, dtype=np.float32)[indices])


def test_first_choices_are_counted_over_images_and_crops() -> None:
    assert diagnostics.first_choices(one_hot([2, 2, 2], 4)).numpy().tolist() == [0, 0, 3, 0]
    codes = tf.stack([one_hot([0, 1], 4), one_hot([3, 1], 4)])
    assert diagnostics.first_choices(codes).numpy().tolist() == [1, 2, 0, 1]


def test_entropy_is_zero_for_one_hot_codes_and_ln_k_for_uniform_codes() -> None:
    assert diagnostics.entropy(one_hot([1, 3], 5)).numpy() == 0
    np.testing.assert_allclose(diagnostics.entropy(tf.fill([2, 3, 5], 0.2)), np.log(5), rtol=1e-6)
    np.testing.assert_allclose(
        diagnostics.entropy(tf.constant([[0.5, 0.5, 0, 0], [1.0, 0, 0, 0]])), np.log(2) / 2, rtol=1e-6
    )


def test_prediction_entropy_falls_with_the_temperature() -> None:
    scores = np.random.default_rng(0).uniform(-1, 1, (6, 9))
    odds = np.exp(scores / 0.1)
    shares = odds / odds.sum(axis=1, keepdims=True)
    expected = -np.mean(np.sum(shares * np.log(shares), axis=1))
    np.testing.assert_allclose(diagnostics.prediction_entropy(tf.constant(scores), temperature=0.1), expected)
    assert diagnostics.prediction_entropy(tf.constant(scores), temperature=0.2).numpy() > expected


def test_view_agreement_is_a_fraction_of_pairs() -> None:
    scores = tf.stack([one_hot([0, 1, 2], 4), one_hot([0, 1, 3], 4), one_hot([0, 2, 1], 4)])
    # For image 0 all 3 pairs of crops agree, for image 1 one pair, and for image 2 no pair.
    np.testing.assert_allclose(diagnostics.view_agreement(scores), (3 + 1 + 0) / 9, rtol=1e-6)
