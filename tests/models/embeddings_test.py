"""Measures of features and embeddings, on inputs with known values."""

import numpy as np
import tensorflow as tf

from seer_tf.models import embeddings


def test_rank_me_is_the_number_of_dimensions_spanned() -> None:
    random = np.random.default_rng(0)
    orthogonal = np.linalg.qr(random.normal(size=(64, 6)))[0]
    np.testing.assert_allclose(embeddings.rank_me(tf.constant(orthogonal)), 6, rtol=1e-9)
    np.testing.assert_allclose(embeddings.rank_me(tf.constant(np.outer(random.normal(size=64), np.ones(6)))), 1)
    assert embeddings.rank_me(tf.zeros([9, 4])).numpy() == 1
    weighted = embeddings.rank_me(tf.constant(orthogonal * [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]))
    assert 3 < weighted.numpy() < 6


def test_rank_me_equals_the_equation() -> None:
    features = np.random.default_rng(1).normal(size=(40, 8))
    singular_values = np.sqrt(np.linalg.eigvalsh(features.T @ features))
    shares = singular_values / singular_values.sum()
    np.testing.assert_allclose(embeddings.rank_me(tf.constant(features)), np.exp(-np.sum(shares * np.log(shares))))


def test_feature_std_is_zero_when_collapsed_and_one_over_sqrt_d_when_spread() -> None:
    random = np.random.default_rng(0)
    one_direction = np.outer(random.uniform(1, 2, 50), np.ones(16)).astype(np.float32)
    np.testing.assert_allclose(embeddings.feature_std(tf.constant(one_direction)), 0, atol=1e-6)
    spread = random.normal(size=(5000, 16))
    np.testing.assert_allclose(embeddings.feature_std(tf.constant(spread)), 1 / 4, rtol=0.01)


def _rows(num_rows: int, dims: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(num_rows, dims))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_alignment_is_the_mean_squared_distance_of_the_views() -> None:
    one, other = _rows(9, 5), _rows(9, 5, seed=1)
    expected = np.mean([np.sum((a - b) ** 2) for a, b in zip(one, other, strict=True)])
    np.testing.assert_allclose(embeddings.alignment(tf.constant(one), tf.constant(other)), expected)
    assert embeddings.alignment(tf.constant(one), tf.constant(-one)).numpy() == 4


def test_uniformity_is_the_mean_over_all_pairs_of_images() -> None:
    rows = _rows(9, 5)
    pairs = [np.exp(-2 * np.sum((a - b) ** 2)) for i, a in enumerate(rows) for b in rows[:i]]
    np.testing.assert_allclose(embeddings.uniformity(tf.constant(rows)), np.log(np.mean(pairs)))
    np.testing.assert_allclose(embeddings.uniformity(tf.constant(np.tile(rows[:1], [4, 1]))), 0, atol=1e-12)
    spread = embeddings.uniformity(tf.constant(_rows(300, 256)))
    np.testing.assert_allclose(spread, -4, atol=0.05)
