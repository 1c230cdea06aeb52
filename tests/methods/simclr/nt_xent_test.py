"""SimCLR's loss equals NumPy's, its gradient equals central differences, and two replicas give the same."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.methods.simclr.nt_xent import nt_xent
from tests.references.gradients import numerical_gradient
from tests.references.nt_xent import FAULTS
from tests.references.nt_xent import nt_xent as oracle
from tests.replicas import two_replicas


def _views(num_images: int, dims: int = 5) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(2, num_images, dims))
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_the_loss_equals_the_equation() -> None:
    views = _views(6)
    for temperature in (0.1, 0.5, 1.0):
        found = nt_xent(tf.constant(views), temperature=temperature).loss
        np.testing.assert_allclose(found, oracle(views, temperature=temperature), rtol=1e-12)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_changes_the_loss(fault: str) -> None:
    views = _views(6)
    right, wrong = (oracle(views, temperature=0.5, fault=each) for each in ("", fault))
    assert abs(wrong / right - 1) > 1e-3


def test_the_gradient_equals_central_differences() -> None:
    views = _views(3)
    with tf.GradientTape() as tape:
        variable = tf.Variable(views)
        loss = nt_xent(tf.convert_to_tensor(variable), temperature=0.3).loss
    expected = numerical_gradient(lambda x: oracle(x, temperature=0.3), views)
    np.testing.assert_allclose(tape.gradient(loss, variable), expected, rtol=1e-6, atol=1e-8)


def test_accuracy_is_the_fraction_of_views_that_find_the_other_view() -> None:
    views = _views(8, dims=64)
    views[1] = views[0]
    views[1, 2], views[1, 5] = views[0, 5], views[0, 2]  # two images are confused with each other, in both views
    assert float(nt_xent(tf.constant(views), temperature=0.1).accuracy) == 12 / 16


@pytest.mark.multi_replica
def test_on_two_replicas_all_images_are_candidates_and_gradients_reach_them() -> None:
    views, strategy = _views(6), two_replicas()

    def of_replica(own: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(own)
            share = nt_xent(own, temperature=0.3).loss / collectives.num_replicas()
        return collectives.all_reduce(share), tape.gradient(share, own)

    parts = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(np.split(views, 2, axis=1)[context.replica_id_in_sync_group])
    )
    local = strategy.experimental_local_results
    losses, gradients = tf.function(lambda parts: strategy.run(of_replica, args=(parts,)), autograph=False)(parts)
    alone, gradient = of_replica(tf.constant(views))
    np.testing.assert_allclose([float(loss) for loss in local(losses)], [alone, alone], rtol=1e-12)
    np.testing.assert_allclose(np.concatenate(local(gradients), axis=1), gradient, rtol=1e-9, atol=1e-12)
