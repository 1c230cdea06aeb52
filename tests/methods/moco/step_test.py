"""Steps of MoCo: the loss with the queue of earlier steps, the key encoder, and the weight decay of all weights."""

import numpy as np
import tensorflow as tf

from seer_tf.methods.moco.state import MocoState
from seer_tf.methods.moco.step import train_step
from tests.references.byol import followed
from tests.references.info_nce import info_nce as oracle
from tests.small_networks import random_crops
from tests.view_methods import METHODS, NUM_IMAGES

MOCO = METHODS["moco"]


def _state() -> MocoState:
    state = MOCO.build(MOCO.config("schedule.peak_learning_rate=0.5", "schedule.reference_batch_size=8"))
    assert isinstance(state, MocoState)
    return state


def _unit(rows: tf.Tensor) -> np.ndarray:
    return rows.numpy() / np.linalg.norm(rows, axis=1, keepdims=True)


def test_losses_and_queue_equal_the_algorithm() -> None:
    state, other = _state(), _state()
    queue = state.queue.keys.numpy()
    np.testing.assert_allclose(np.linalg.norm(queue, axis=1), 1)
    for number in range(4):  # the queue has room for three steps
        (crops,) = random_crops(state.config, NUM_IMAGES, number)
        for mine, its in ((state.model, other.model), (state.key_encoder.model, other.key_encoder.model)):
            for variable, twin in zip(mine.variables, its.variables, strict=True):
                twin.assign(variable)
        queries, keys = _unit(other.model(crops[:, 0], training=True)), _unit(other.key_encoder.embed(crops[:, 1]))
        right, with_this_batch = queue, np.concatenate([keys, queue[:-NUM_IMAGES]])
        loss = float(train_step(state, (tf.constant(crops),))["loss"])
        np.testing.assert_allclose(loss, oracle(queries, keys, right, temperature=0.1), rtol=1e-9)
        assert abs(loss / oracle(queries, keys, with_this_batch, temperature=0.1) - 1) > 1e-3
        queue = with_this_batch
        np.testing.assert_allclose(state.queue.keys.numpy(), queue, rtol=1e-9)


def test_the_key_encoder_follows_the_weights_after_the_step() -> None:
    state = _state()
    weights = state.model.trainable_variables
    averages = [variable.numpy() for variable in state.key_encoder.model.trainable_variables]
    before = [weight.numpy() for weight in weights]
    for average, weight in zip(averages, before, strict=True):
        np.testing.assert_array_equal(average, weight)
    train_step(state, (tf.constant(random_crops(state.config, NUM_IMAGES)[0]),))
    found = [variable.numpy() for variable in state.key_encoder.model.trainable_variables]
    for used, is_right in ((before, False), ([weight.numpy() for weight in weights], True)):
        expected = [followed(average, weight, share=0.9) for average, weight in zip(averages, used, strict=True)]
        far = max(float(np.max(np.abs(one - other))) for one, other in zip(found, expected, strict=True))
        assert (far < 1e-12) == is_right, far


def test_all_weights_decay() -> None:
    state = _state()
    zeros = [tf.zeros_like(weight) for weight in state.model.trainable_variables]
    before = [weight.numpy() for weight in state.model.trainable_variables]
    rate, decay = float(state.optimizer.learning_rate), state.config.optimizer.weight_decay
    state.optimizer.apply_reduced(zeros, finite=tf.constant(True))
    for weight, old in zip(state.model.trainable_variables, before, strict=True):
        np.testing.assert_allclose(weight.numpy(), old * (1 - rate * decay), rtol=1e-9, err_msg=weight.path)
