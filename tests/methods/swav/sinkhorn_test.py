"""Sinkhorn: released numbers, equations, extreme inputs, and equality for any number of replicas."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.methods.swav.plain_sinkhorn import plain_sinkhorn
from seer_tf.methods.swav.sinkhorn import sinkhorn
from tests import places
from tests.references.sinkhorn import log_domain_sinkhorn
from tests.references.sinkhorn import sinkhorn as sinkhorn_oracle

GOLDEN = np.load(places.GOLDEN / "sinkhorn.npz")


def cosines(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.6, 0.6, shape)


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize(("dtype", "name"), [(np.float32, "assignments"), (np.float64, "assignments_float64")])
def test_equals_the_released_code(case: int, dtype: type, name: str) -> None:
    scores, expected = GOLDEN[f"case{case}_scores"], GOLDEN[f"case{case}_{name}"]
    epsilon, num_iterations = float(GOLDEN[f"case{case}_epsilon"]), int(GOLDEN[f"case{case}_iterations"])
    codes = sinkhorn(tf.constant(scores, dtype), epsilon=epsilon, num_iterations=num_iterations)
    assert codes.dtype == dtype
    # Both references are stored in float32. A result in float32 has its own rounding.
    np.testing.assert_allclose(codes, expected, rtol=2e-5 if dtype == np.float32 else 1e-7, atol=1e-12)


@pytest.mark.parametrize("num_iterations", [1, 2, 3, 10])
def test_equals_the_equations_for_each_problem(num_iterations: int) -> None:
    scores = cosines(2, 3, 12, 20)
    codes = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=num_iterations).numpy()
    for problem in np.ndindex(2, 3):
        expected = sinkhorn_oracle(scores[problem], epsilon=0.05, num_iterations=num_iterations)
        np.testing.assert_allclose(codes[problem], expected, rtol=1e-11)


def unit_scores(num_images: int, num_prototypes: int, dim: int = 16) -> np.ndarray:
    """Returns cosines of random directions, float32 [num_images, num_prototypes]."""
    random = np.random.default_rng(num_images + num_prototypes)
    embeddings, prototypes = random.normal(size=(num_images, dim)), random.normal(size=(num_prototypes, dim))
    norms = np.linalg.norm(embeddings, axis=1)[:, None] * np.linalg.norm(prototypes, axis=1)
    return (embeddings @ prototypes.T / norms).astype(np.float32)


def check_shape(num_images: int, num_prototypes: int, epsilon: float, num_iterations: int) -> None:
    scores = unit_scores(num_images, num_prototypes)
    expected = log_domain_sinkhorn(scores, epsilon=epsilon, num_iterations=num_iterations)
    codes = sinkhorn(tf.constant(scores), epsilon=epsilon, num_iterations=num_iterations).numpy()
    assert codes.dtype == np.float32
    assert np.abs(codes - expected).max() < 2e-5 * expected.max()


@pytest.mark.parametrize("epsilon", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("num_iterations", [1, 10, 30])
@pytest.mark.parametrize(("num_images", "num_prototypes"), [(1, 10), (2, 16_000), (8, 2_000), (300, 10)])
def test_codes_are_exact_for_some_shapes(
    num_images: int, num_prototypes: int, epsilon: float, num_iterations: int
) -> None:
    """The test fails if 1 / K or 1 / B is left out.

    With many more prototypes than images, the factors then drift to a limit of float32.
    """
    check_shape(num_images, num_prototypes, epsilon, num_iterations)


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.01, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("num_iterations", [1, 3, 10, 30])
@pytest.mark.parametrize("num_images", [1, 3, 16, 256, 4_096])
@pytest.mark.parametrize("num_prototypes", [10, 300, 3_000, 16_000])
def test_codes_are_exact_for_all_shapes(
    num_images: int, num_prototypes: int, epsilon: float, num_iterations: int
) -> None:
    check_shape(num_images, num_prototypes, epsilon, num_iterations)


def test_codes_are_exact_with_images_that_do_not_count() -> None:
    scores = unit_scores(6, 2_000)
    counted = np.array([True, False, True, True, False, True])
    expected = log_domain_sinkhorn(scores[counted], epsilon=0.05, num_iterations=10)
    codes = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=10, counted=tf.constant(counted)).numpy()
    np.testing.assert_allclose(codes[counted], expected, atol=2e-5 * expected.max())
    assert not np.any(codes[~counted])


@pytest.mark.multi_replica
def test_two_replicas_are_exact_for_many_prototypes() -> None:
    scores = np.stack([unit_scores(8, 2_000), unit_scores(8, 2_000)[:, ::-1]])
    codes, _ = replicated_codes(scores, 2)
    expected = np.stack([log_domain_sinkhorn(each, epsilon=0.05, num_iterations=3) for each in scores])
    np.testing.assert_allclose(codes, expected, atol=2e-5 * expected.max())


def test_codes_sum_to_one_and_use_all_prototypes_alike() -> None:
    codes = sinkhorn(tf.constant(cosines(30, 7)), epsilon=0.3, num_iterations=20)
    np.testing.assert_allclose(tf.reduce_sum(codes, axis=1), np.ones(30), rtol=1e-12)
    np.testing.assert_allclose(tf.reduce_sum(codes, axis=0), np.full(7, 30 / 7), rtol=1e-9)


def test_gpus_compute_the_same_codes_without_matrix_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU may round matrix products to TF32. The test computes the codes on the CPU."""
    scores = tf.constant(cosines(2, 12, 20))
    expected = sinkhorn(scores, epsilon=0.05, num_iterations=3)
    monkeypatch.setattr(tf, "matmul", None)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [f"a {kind}"])
    np.testing.assert_allclose(sinkhorn(scores, epsilon=0.05, num_iterations=3), expected, rtol=1e-12)


def test_permuted_scores_give_permuted_codes() -> None:
    scores, random = cosines(10, 6), np.random.default_rng(1)
    images, prototypes = random.permutation(10), random.permutation(6)
    codes = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3).numpy()
    permuted = sinkhorn(tf.constant(scores[images][:, prototypes]), epsilon=0.05, num_iterations=3)
    np.testing.assert_allclose(permuted, codes[images][:, prototypes], rtol=1e-11)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
@pytest.mark.parametrize("magnitude", [0.0, 1.0, 1e2, 1e4])
@pytest.mark.parametrize(("num_images", "num_prototypes"), [(1, 1), (1, 5), (6, 1), (6, 9)])
def test_is_finite_for_all_finite_scores(
    dtype: tf.DType, magnitude: float, num_images: int, num_prototypes: int
) -> None:
    random = np.random.default_rng(0)
    scores = magnitude * np.sign(random.normal(size=(num_images, num_prototypes)))
    codes = sinkhorn(tf.constant(scores, dtype), epsilon=0.03, num_iterations=10)
    assert codes.dtype == (tf.float64 if dtype == tf.float64 else tf.float32)
    assert np.all(np.isfinite(codes))
    np.testing.assert_allclose(tf.reduce_sum(codes, axis=1), np.ones(num_images), rtol=1e-5)


def test_equal_features_get_uniform_codes() -> None:
    scores = np.tile(cosines(1, 8), (5, 1))
    np.testing.assert_allclose(sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3), np.full((5, 8), 1 / 8))


def test_a_prototype_with_very_low_scores_does_not_change_the_other_codes() -> None:
    scores = cosines(12, 5).astype(np.float32)
    scores[:, 2] = -1e4
    codes = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3).numpy()
    expected = sinkhorn_oracle(np.delete(scores, 2, axis=1), epsilon=0.05, num_iterations=3)
    np.testing.assert_allclose(np.delete(codes, 2, axis=1), expected, rtol=1e-4)


def test_images_that_do_not_count_change_nothing() -> None:
    scores = cosines(2, 9, 6)
    counted = np.array([True, False, True, True, True, False, True, False, True])
    scores[:, ~counted] += 40  # the largest scores, if they counted
    codes = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3, counted=tf.constant(counted)).numpy()
    np.testing.assert_allclose(
        codes[:, counted], sinkhorn(tf.constant(scores[:, counted]), epsilon=0.05, num_iterations=3), rtol=1e-12
    )
    assert not np.any(codes[:, ~counted])


def test_no_gradient_flows() -> None:
    scores = tf.Variable(cosines(4, 3))
    with tf.GradientTape() as tape:
        codes = sinkhorn(scores, epsilon=0.05, num_iterations=3)
    assert tape.gradient(codes, scores) is None


@pytest.mark.parametrize(("epsilon", "num_iterations"), [(0.0, 3), (-0.05, 3), (0.05, 0)])
def test_refuses_an_epsilon_or_a_number_of_iterations_that_is_not_positive(epsilon: float, num_iterations: int) -> None:
    with pytest.raises(InputError, match="Sinkhorn needs"):
        sinkhorn(tf.constant(cosines(4, 3)), epsilon=epsilon, num_iterations=num_iterations)


def replicated_codes(
    scores: np.ndarray, num_replicas: int, function: Callable[..., tf.Tensor] = sinkhorn
) -> tuple[np.ndarray, int]:
    """Returns the codes of scores [A, B, K] that replicas share, and the number of reductions in the graph."""
    # With the default cross-device operations, strategies of different sizes in one process fail or hang.
    strategy = tf.distribute.MirroredStrategy(
        [f"CPU:{replica}" for replica in range(num_replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    shares = np.split(scores, num_replicas, axis=1)
    shared = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(shares[context.replica_id_in_sync_group])
    )

    @tf.function
    def step(scores: tf.Tensor) -> tf.Tensor:
        return strategy.run(function, args=(scores,), kwargs={"epsilon": 0.05, "num_iterations": 3})

    reductions = [op for op in step.get_concrete_function(shared).graph.get_operations() if op.type == "AddN"]
    return np.concatenate(strategy.experimental_local_results(step(shared)), axis=1), len(reductions)


@pytest.mark.multi_replica
@pytest.mark.parametrize("num_replicas", [2, 4])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_replicas_get_the_codes_of_the_whole_batch(num_replicas: int, dtype: type, rtol: float) -> None:
    scores: np.ndarray = cosines(2, 16, 11).astype(dtype)
    scores[:, :4] += 0.3  # the largest score is on one replica only
    expected = sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3)
    codes, num_reductions = replicated_codes(scores, num_replicas)
    np.testing.assert_allclose(codes, expected, rtol=rtol)
    assert num_reductions == 1 + 3, "one reduction for the largest score, and one SUM per iteration for both problems"


@pytest.mark.multi_replica
def test_replicas_may_differ_by_any_finite_score() -> None:
    scores = np.concatenate([np.full((1, 4, 5), 1e4), np.full((1, 4, 5), -1e4)], axis=1).astype(np.float32)
    codes, _ = replicated_codes(scores, 2)
    np.testing.assert_allclose(codes, np.full((1, 8, 5), 1 / 5), rtol=1e-6)


@pytest.mark.parametrize("epsilon", [0.01, 0.05])
@pytest.mark.parametrize("shape", [(1, 10), (8, 300), (300, 8), (2, 16, 12), (2, 3, 5, 7)])
def test_equals_plain_sinkhorn(shape: tuple[int, ...], epsilon: float) -> None:
    scores = tf.constant(cosines(*shape))
    for num_iterations in (1, 3, 10):
        plain = plain_sinkhorn(scores, epsilon=epsilon, num_iterations=num_iterations)
        fast = sinkhorn(scores, epsilon=epsilon, num_iterations=num_iterations)
        np.testing.assert_allclose(fast, plain, rtol=1e-9)


def test_equals_plain_sinkhorn_if_images_do_not_count() -> None:
    scores, counted = cosines(2, 16, 11).astype(np.float32), tf.constant([True, True, False, True] * 4)
    plain, fast = (
        function(tf.constant(scores), epsilon=0.05, num_iterations=3, counted=counted)
        for function in (plain_sinkhorn, sinkhorn)
    )
    assert plain.dtype == fast.dtype == tf.float32
    np.testing.assert_allclose(fast, plain, rtol=2e-5)
    np.testing.assert_array_equal(plain[:, 2::4], 0)


@pytest.mark.multi_replica
def test_plain_sinkhorn_is_equal_on_two_replicas() -> None:
    scores = cosines(2, 8, 11)
    codes, _ = replicated_codes(scores, 2, plain_sinkhorn)
    np.testing.assert_allclose(codes, plain_sinkhorn(tf.constant(scores), epsilon=0.05, num_iterations=3), rtol=1e-12)
