"""A step of SimCLR: its loss, its metrics, its update, and its equality on two replicas."""

import numpy as np
import tensorflow as tf

from seer_tf.methods.simclr.state import SimclrState
from seer_tf.methods.simclr.step import train_step
from tests.references.nt_xent import nt_xent as oracle
from tests.small_networks import random_crops
from tests.view_methods import METHODS

SIMCLR = METHODS["simclr"]


def test_loss_and_metrics_equal_the_equations() -> None:
    config = SIMCLR.config("simclr.temperature=0.3")
    state = SIMCLR.build(config)
    (crops,) = random_crops(config, 6)
    rows = np.concatenate([crops[:, 0], crops[:, 1]])
    embeddings = SIMCLR.build(config).model(rows, training=True).numpy()
    views = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).reshape(2, 6, -1)
    numbers = train_step(state, (tf.constant(crops),))
    np.testing.assert_allclose(numbers["loss"], oracle(views, temperature=0.3), rtol=1e-9)
    alignment = np.mean(np.sum((views[0] - views[1]) ** 2, axis=-1))
    np.testing.assert_allclose(numbers["views/alignment"], alignment, rtol=1e-6)
    np.testing.assert_allclose(numbers["training/mean_pixel"], crops.mean(), rtol=1e-6)


def test_batch_norm_and_biases_are_neither_decayed_nor_scaled() -> None:
    """The first step of these weights equals a step of plain SGD."""
    config = SIMCLR.config("optimizer.weight_decay=0.5", "head.batch_norm=false")
    state = SIMCLR.build(config)
    assert isinstance(state, SimclrState)
    weights = state.model.trainable_variables
    before = [weight.numpy() for weight in weights]
    state.optimizer.apply_reduced(
        [tf.fill(w.shape, tf.constant(2e-3, w.value.dtype)) for w in weights], weights, finite=tf.constant(True)
    )
    rate = float(state.schedule(tf.constant(0)))
    for weight, old in zip(weights, before, strict=True):
        plain = np.allclose(weight.numpy(), old - rate * 2e-3, rtol=1e-9, atol=1e-12)
        assert plain == weight.path.endswith(("gamma", "beta", "bias")), weight.path
