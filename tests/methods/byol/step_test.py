"""A step of BYOL: its loss, and the target network that follows the weights after the step."""

import numpy as np
import tensorflow as tf

from seer_tf.methods.byol.state import ByolState
from seer_tf.methods.byol.step import train_step
from tests.references import byol as oracle
from tests.small_networks import random_crops
from tests.view_methods import METHODS

BYOL = METHODS["byol"]


def _state() -> ByolState:
    state = BYOL.build(BYOL.config("schedule.peak_learning_rate=50", "schedule.reference_batch_size=8"))
    assert isinstance(state, ByolState)
    return state


def test_the_target_network_starts_as_a_copy_of_the_online_network() -> None:
    state = _state()
    online = {variable.path: variable.numpy() for variable in state.model.variables}
    target = {variable.path: variable.numpy() for variable in state.target.model.variables}
    assert {path for path in online if path not in target} == {path for path in online if path.startswith("predictor/")}
    for path, value in target.items():
        np.testing.assert_array_equal(value, online[path], err_msg=path)


def test_the_loss_equals_the_equation() -> None:
    state, other = _state(), _state()
    train_step(state, random_crops(state.config, 6, 1))
    for crops in random_crops(state.config, 6):
        views = [crops[:, 0], crops[:, 1]]
        for mine, its in ((state.model, other.model), (state.target.model, other.target.model)):
            for variable, twin in zip(mine.variables, its.variables, strict=True):
                twin.assign(variable)
        predictions = np.stack([other.model(view, training=True) for view in views])
        targets = np.stack([other.target.model(view, training=True) for view in views])
        numbers = train_step(state, (tf.constant(crops),))
        np.testing.assert_allclose(numbers["loss"], oracle.regression(predictions, targets), rtol=1e-9)
        units = (targets / np.linalg.norm(targets, axis=-1, keepdims=True)).reshape(12, -1)
        spread = np.mean(units.std(axis=0)) * np.sqrt(units.shape[1])
        np.testing.assert_allclose(numbers["views/std_times_sqrt_dims"], spread, rtol=1e-4)


def test_the_target_network_follows_the_weights_after_the_step() -> None:
    state = _state()
    weights = {variable.path: variable for variable in state.model.trainable_variables}
    far = {"": 0.0, "target updated before the step": 0.0, "constant momentum": 0.0}
    for number in range(2):
        before = {path: weight.numpy() for path, weight in weights.items()}
        averages = [variable.numpy() for variable in state.target.model.trainable_variables]
        train_step(state, (tf.constant(random_crops(state.config, 6, number)[0]),))
        for fault in far:
            share = oracle.momentum(0 if fault == "constant momentum" else number, start=0.9, num_steps=20)
            for variable, average in zip(state.target.model.trainable_variables, averages, strict=True):
                now = before[variable.path] if "before" in fault else weights[variable.path].numpy()
                expected = oracle.followed(average, now, share=share)
                far[fault] = max(far[fault], float(np.max(np.abs(variable.numpy() - expected))))
    assert {fault for fault in far if far[fault] < 1e-12} == {""}, far
