"""One training step: its effect, the variables that it leaves unchanged, and its precision."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.methods.swav.model import unflatten
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.step import checked_tensors
from tests.references.queue import Queue as QueueOracle
from tests.references.sinkhorn import sinkhorn as sinkhorn_oracle
from tests.references.swapped_prediction import swapped_prediction as loss_oracle
from tests.small_networks import random_crops, small_config, small_model


def small_state(config: Config, *, batch_norm: bool = False) -> TrainState:
    return TrainState(config, model=small_model(config, batch_norm=batch_norm))


def snapshot(state: TrainState) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.named_variables().items()}


def test_the_loss_equals_the_equations() -> None:
    config = small_config("run.precision=float64")
    crops = random_crops(config, 8)
    _, scores = small_model(config)(crops)
    scores = unflatten(scores, 4).numpy()
    codes = np.stack([sinkhorn_oracle(scores[crop], epsilon=0.05, num_iterations=3) for crop in (0, 1)])
    expected = loss_oracle(scores, codes, temperature=0.1)
    np.testing.assert_allclose(train_step(small_state(config), crops)["loss"], expected, rtol=1e-9)


def test_with_a_queue_the_codes_equal_the_equations() -> None:
    config = small_config(
        "run.precision=float64", "swav.queue_length=16", "swav.queue_start_step=3", "data.global_batch_size=8"
    )
    state, queues = small_state(config), [QueueOracle(16, config.head.embedding_dim) for _ in (0, 1)]
    for number in range(5):
        crops = random_crops(config, 8, number)
        embeddings, scores = (unflatten(rows, 4).numpy() for rows in state.model(crops))
        prototypes = state.model.head.prototypes.numpy()
        codes = []
        for crop, queue in enumerate(queues):
            sinkhorn_arguments = {"epsilon": 0.05, "num_iterations": 3}
            codes.append(queue.codes(embeddings[crop], prototypes, used=number >= 3, **sinkhorn_arguments))
            queue.push(embeddings[crop])
        expected = loss_oracle(scores, np.stack(codes), temperature=0.1)
        np.testing.assert_allclose(train_step(state, crops)["loss"], expected, rtol=1e-9, err_msg=f"step {number}")


def test_only_the_head_learns_while_it_warms_up() -> None:
    config = small_config("schedule.head_only_steps=2", "schedule.warmup_steps=0", "swav.freeze_prototypes_steps=0")
    state = small_state(config)
    step = tf.function(lambda crops: train_step(state, crops), autograph=False)
    before = snapshot(state)
    for number in range(3):
        step(random_crops(config, 8, number))
        now = snapshot(state)
        for name in before:
            variable = name.removeprefix("model/").removeprefix("lars/velocity/")
            if any(variable == other.path for other in state.model.backbone.variables):
                assert np.array_equal(now[name], before[name]) == (number < 2), name
            elif variable.startswith("head/"):
                assert not np.array_equal(now[name], before[name]), name


def test_prototypes_are_frozen_for_the_stated_steps_and_always_of_unit_norm() -> None:
    config = small_config("swav.freeze_prototypes_steps=2")
    state = small_state(config)
    step = tf.function(lambda crops: train_step(state, crops), autograph=False)
    before, velocity = state.model.head.prototypes.numpy(), state.optimizer.velocity(state.model.head.prototypes)
    for number in range(4):
        step(random_crops(config, 8, number))
        now = state.model.head.prototypes.numpy()
        assert np.array_equal(now, before) == (number < 2)
        assert np.any(velocity) == (number >= 2)
        np.testing.assert_allclose(np.linalg.norm(now, axis=1), 1.0, rtol=1e-6)
    assert int(state.optimizer.iterations) == 4


def test_a_step_with_a_bad_number_changes_nothing_and_names_it() -> None:
    config = small_config()
    state, crops = small_state(config, batch_norm=True), random_crops(config, 8)
    train_step(state, crops)
    bias = state.model.head.linears[-1].bias
    good = bias.numpy()
    bias.assign(np.full_like(good, np.inf))
    before = snapshot(state)
    metrics = train_step(state, crops)
    assert checked_tensors(state)[int(metrics["first_bad"])] == "the scores"
    changed = {name for name, value in snapshot(state).items() if not np.array_equal(before[name], value)}
    assert changed == {"skipped_steps/total", "skipped_steps/in_a_row"}
    bias.assign(good)
    assert train_step(state, crops)["first_bad"] == -1
    assert (int(state.skipped.total), int(state.skipped.in_a_row)) == (1, 0)


@pytest.mark.parametrize("accumulation_steps", [1, 4])
def test_statistics_move_once_per_step(accumulation_steps: int) -> None:
    config = small_config(f"run.accumulation_steps={accumulation_steps}", "crops.num=2,2")
    state, crops = small_state(config, batch_norm=True), random_crops(config, 8)
    backbone = state.model.backbone
    first, second = (
        tf.reduce_mean(backbone.get_layer("conv1")(backbone.get_layer("gain")(state.model.normalize(group))), [0, 1, 2])
        for group in (group.reshape(-1, *group.shape[2:]) for group in crops)
    )
    train_step(state, crops)
    # There is one pass for each crop size. Micro-batches give the same, because their means have the same mean.
    expected = 0.9 * 0.1 * first + 0.1 * second
    np.testing.assert_allclose(backbone.get_layer("bn").moving_mean, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(
    ("num_images", "more"), [(1, ()), (4, ("head.num_prototypes=2",)), (1, ("head.num_prototypes=2", "crops.num=2,1"))]
)
def test_the_step_is_finite_if_all_images_are_equal(precision: str, num_images: int, more: tuple[str, ...]) -> None:
    config = small_config(f"run.precision={precision}", *more)
    state = small_state(config, batch_norm=True)
    state.loss_scale.value.assign(2.0)
    constant = tuple(np.full_like(group, 99) for group in random_crops(config, num_images))
    before = snapshot(state)
    metrics = train_step(state, constant)
    assert metrics["first_bad"] == -1
    assert all(np.all(np.isfinite(value)) for value in snapshot(state).values())
    assert any(not np.array_equal(value, before[name]) for name, value in snapshot(state).items())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_what_must_be_exact_in_float32(precision: str) -> None:
    config = small_config(f"run.precision={precision}", "swav.queue_length=16")
    state = small_state(config, batch_norm=True)
    assert state.model.backbone.get_layer("conv1").compute_dtype == precision.removeprefix("mixed_")
    assert all(v.dtype in (tf.float32, tf.float64, tf.int64) for v in state.named_variables().values())
    embeddings, scores = state.model(random_crops(config, 4))
    assert embeddings.dtype == scores.dtype == tf.float32
    assert train_step(state, random_crops(config, 4))["loss"].dtype == tf.float32


def test_the_step_is_traced_only_once() -> None:
    config = small_config(
        "run.precision=mixed_float16",
        "run.accumulation_steps=2",
        "swav.queue_length=16",
        "swav.queue_start_step=2",
        "swav.freeze_prototypes_steps=1",
        "schedule.kind=constant_then_halve",
        "schedule.halving_window_steps=2",
    )
    state = small_state(config)
    step = tf.function(lambda crops: train_step(state, crops), autograph=False)
    for number in range(5):
        step(tuple(tf.constant(group) for group in random_crops(config, 16, number)))
    assert step.experimental_get_tracing_count() == 1
    assert state.queue is not None
    assert int(state.queue.num_pushed) == 16 * int(state.optimizer.iterations) > 0


def test_the_initial_weights_depend_only_on_the_seed() -> None:
    config = recipe("debug_tiny")
    other = dataclasses.replace(config, run=dataclasses.replace(config.run, seed=1))
    first, again, different = (snapshot(TrainState(c)) for c in (config, config, other))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["model/head/prototypes"], different["model/head/prototypes"])
