"""One training step: its effect, what it leaves alone, and that replicas do not matter."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.models.swav_model import unflatten
from seer_tf.recipes import recipe
from seer_tf.train.state import TrainState
from seer_tf.train.step import train_step, watched
from tests.references.sinkhorn import sinkhorn as sinkhorn_oracle
from tests.references.swapped_prediction import swapped_prediction as loss_oracle


def tiny(*assignments: str) -> Config:
    return configs.override(recipe("debug_tiny"), assignments)


def crops_of(config: Config, num_images: int, seed: int = 0) -> tuple[tf.Tensor, ...]:
    random = np.random.default_rng(seed)
    return tuple(
        tf.constant(random.integers(0, 256, (num_images, num, side, side, 3)), tf.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )


def snapshot(state: TrainState) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.named_variables().items()}


def test_the_loss_is_that_of_the_equations() -> None:
    config = tiny("run.precision=float64")
    state = TrainState(config)
    crops = crops_of(config, 8)
    _, scores = TrainState(config).model(crops, training=True)
    scores = unflatten(scores, 4).numpy()
    codes = np.stack([sinkhorn_oracle(scores[crop], epsilon=0.05, num_iterations=3) for crop in (0, 1)])
    expected = loss_oracle(scores, codes, temperature=0.1)
    np.testing.assert_allclose(train_step(state, crops)["loss"], expected, rtol=1e-6)


def test_prototypes_are_frozen_for_the_stated_steps_and_always_of_unit_norm() -> None:
    config = tiny("swav.freeze_prototypes_steps=2")
    state = TrainState(config)
    step = tf.function(lambda *crops: train_step(state, crops))
    before = state.model.head.prototypes.numpy()
    for number in range(4):
        step(*crops_of(config, 8, number))
        now = state.model.head.prototypes.numpy()
        assert np.array_equal(now, before) == (number < 2)
        np.testing.assert_allclose(np.linalg.norm(now, axis=1), 1.0, rtol=1e-6)
    assert int(state.optimizer.iterations) == 4


def test_a_step_with_a_bad_number_changes_nothing_and_names_it() -> None:
    config = tiny()
    state = TrainState(config)
    train_step(state, crops_of(config, 8, 1))
    bias = state.model.head.linears[-1].bias
    good = bias.numpy()
    bias.assign(np.full_like(good, np.inf))
    before = snapshot(state)
    metrics = train_step(state, crops_of(config, 8, 2))
    assert watched(state)[int(metrics["first_bad"])] == "the loss"
    after = snapshot(state)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    bias.assign(good)
    assert train_step(state, crops_of(config, 8, 2))["first_bad"] == -1


def test_statistics_move_once_per_step() -> None:
    config = tiny("crops.num=2", "crops.sizes_px=32", "crops.min_area_fractions=0.3", "crops.max_area_fractions=1.0")
    state, crops = TrainState(config), crops_of(tiny(), 8)[:1]
    images = state.model.normalize(tf.reshape(crops[0], [-1, 32, 32, 3]))
    expected = 0.1 * tf.reduce_mean(state.model.backbone.get_layer("stem").conv(images), [0, 1, 2])
    train_step(state, crops)
    np.testing.assert_allclose(state.model.backbone.get_layer("stem").bn.moving_mean, expected, atol=1e-6)


@pytest.mark.multi_replica
def test_two_replicas_equal_one() -> None:
    config = tiny("run.precision=float64", "swav.freeze_prototypes_steps=1", "head.num_prototypes=7")
    one = TrainState(config)
    # The one test with collectives, as training has them; other strategies of this process must not use them too.
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        two = TrainState(config)
    single = tf.function(lambda crops: train_step(one, crops))
    mirrored = tf.function(lambda crops: strategy.run(train_step, args=(two, crops)))
    for number in range(3):
        crops = crops_of(config, 8, number)
        halves = [tuple(tf.split(group, 2)[replica] for group in crops) for replica in (0, 1)]
        shared = strategy.experimental_distribute_values_from_function(
            lambda context, halves=halves: halves[context.replica_id_in_sync_group]
        )
        expected, actual = single(crops), mirrored(shared)
        for name, value in expected.items():
            for replica in strategy.experimental_local_results(actual[name]):
                np.testing.assert_allclose(replica, value, rtol=1e-6, err_msg=name)
    before, after = snapshot(one), snapshot(two)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-8, atol=1e-10, err_msg=name)


def test_the_initial_weights_are_those_of_the_seed() -> None:
    config = tiny()
    other = dataclasses.replace(config, run=dataclasses.replace(config.run, seed=1))
    first, again, different = (snapshot(TrainState(c)) for c in (config, config, other))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["model/head/prototypes"], different["model/head/prototypes"])
