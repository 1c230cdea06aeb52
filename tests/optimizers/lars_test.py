"""LARS: released numbers, equations, skipped steps, frozen variables, and use in Keras."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import ScheduleConfig
from seer_tf.errors import InputError
from seer_tf.optimizers import lars, packing
from seer_tf.optimizers.lars import LARS
from seer_tf.optimizers.schedules import learning_rate_schedule
from tests import places
from tests.references import lars as oracle
from tests.replicas import two_replicas

GOLDEN = np.load(places.GOLDEN / "lars.npz")
SHAPES = ((3, 3, 2, 4), (4,), (5, 3))

Gradients = list[tf.Tensor]
Apply = Callable[[LARS, Gradients, list[keras.Variable]], None]


def apply(optimizer: LARS, gradients: Gradients, variables: list[keras.Variable]) -> None:
    optimizer.apply(gradients, variables)


def apply_reduced(optimizer: LARS, gradients: Gradients, variables: list[keras.Variable]) -> None:
    optimizer.apply_reduced(gradients, variables, finite=tf.constant(True))


def make_variables(dtype: str = "float32") -> list[keras.Variable]:
    random = np.random.default_rng(0)
    names = ("kernel", "gamma", "bias")
    return [keras.Variable(random.normal(size=s), dtype=dtype, name=n) for s, n in zip(SHAPES, names, strict=True)]


def make_gradients(seed: int, dtype: str = "float32") -> Gradients:
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=shape), dtype) for shape in SHAPES]


def state_of(optimizer: LARS, variables: list[keras.Variable]) -> list[np.ndarray]:
    velocities = [optimizer.velocity(variable) for variable in variables]
    return [value.numpy() for value in (*variables, *velocities, optimizer.iterations)]


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return left.tobytes() == right.tobytes()


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("update", [apply, apply_reduced])
def test_equals_the_released_optimizer(case: int, update: Apply) -> None:
    golden = {name.split("_", 1)[1]: GOLDEN[name] for name in GOLDEN.files if name.startswith(f"case{case}_")}
    settings = {key: golden[key].item() for key in ("momentum", "weight_decay", "trust_coefficient", "epsilon", "clip")}
    variables = [keras.Variable(golden[f"param{index}_step0"]) for index in range(5)]
    optimizer = LARS(0.1, **settings)
    for step, learning_rate in enumerate(golden["learning_rates"], start=1):
        optimizer.learning_rate = float(learning_rate)
        update(optimizer, [tf.constant(golden[f"grad{index}_step{step}"]) for index in range(5)], variables)
        for index, variable in enumerate(variables):
            np.testing.assert_allclose(variable, golden[f"param{index}_step{step}"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("update", [apply, apply_reduced])
@pytest.mark.parametrize("clip", [False, True])
def test_equals_the_equations(update: Apply, clip: bool) -> None:
    settings: dict[str, Any] = {"momentum": 0.8, "weight_decay": 0.03, "trust_coefficient": 0.02, "epsilon": 1e-3}
    variables = make_variables("float64")
    optimizer = LARS(0.1, clip=clip, **settings)
    expected = [variable.numpy() for variable in variables]
    oracles = [oracle.LARS(clip=clip, **settings) for _ in variables]
    # Float32 holds these rates exactly, and Keras keeps rates in float32.
    for step, learning_rate in enumerate((0.5, 2.0, 0.125, 0.25)):
        optimizer.learning_rate = learning_rate
        gradients = make_gradients(step, "float64")
        if step == 2:
            gradients[1] = tf.zeros_like(gradients[1])
        update(optimizer, gradients, variables)
        for index, reference in enumerate(oracles):
            expected[index] = reference.step(expected[index], gradients[index].numpy(), learning_rate)
            np.testing.assert_allclose(variables[index], expected[index], rtol=1e-12)
    assert optimizer.iterations.numpy() == 4


def test_the_size_of_gradients_does_not_matter_without_weight_decay_and_epsilon() -> None:
    one, other = make_variables("float64"), make_variables("float64")
    for variables, factor in ((one, 1.0), (other, 1000.0)):
        optimizer = LARS(1.0, epsilon=0.0)
        for seed in range(3):
            optimizer.apply([factor * gradient for gradient in make_gradients(seed, "float64")], variables)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)


def test_an_excluded_variable_takes_the_plain_step() -> None:
    variables, gradients = make_variables(), make_gradients(0)
    before = [variable.numpy() for variable in variables]
    LARS(0.5, weight_decay=0.1, exclude=("gam+a$",)).apply(gradients, variables)
    np.testing.assert_allclose(variables[1], before[1] - 0.5 * gradients[1], rtol=1e-6)
    assert np.linalg.norm(variables[0] - before[0]) < 1e-3 * np.linalg.norm(before[0])


def test_a_variable_without_a_gradient_and_its_velocity_do_not_change() -> None:
    variables = make_variables()
    optimizer = LARS(0.5)
    apply_reduced(optimizer, make_gradients(0), variables)
    before = state_of(optimizer, variables)
    kernel, _, bias = make_gradients(1)
    apply_reduced(optimizer, [kernel, None, bias], variables)
    changed = [not same_bits(*pair) for pair in zip(before, state_of(optimizer, variables), strict=True)]
    assert changed == [True, False, True, True, False, True, True]


def test_a_step_that_is_not_finite_changes_no_bit() -> None:
    variables = make_variables()
    optimizer = LARS(0.5, weight_decay=0.1)
    optimizer.build(variables)
    step = tf.function(lambda gradients, finite: optimizer.apply_reduced(gradients, variables, finite=finite))
    step(make_gradients(0), tf.constant(True))
    optimizer.velocity(variables[1]).assign([-0.0, 0.0, -1.0, 1.0])
    before = state_of(optimizer, variables)
    poisoned = make_gradients(1)
    poisoned[0] *= np.inf
    poisoned[1] *= np.nan
    step(poisoned, tf.constant(False))
    assert all(same_bits(*pair) for pair in zip(before, state_of(optimizer, variables), strict=True))
    step(make_gradients(1), tf.constant(True))
    assert not any(same_bits(*pair) for pair in zip(before, state_of(optimizer, variables), strict=True))
    assert step.experimental_get_tracing_count() == 1


def test_a_frozen_variable_and_its_velocity_do_not_change_until_released() -> None:
    variables = make_variables()
    optimizer = LARS(0.5, weight_decay=0.1)

    @tf.function
    def step(gradients: Gradients, frozen: tf.Tensor) -> None:
        optimizer.apply_reduced(gradients, variables, finite=tf.constant(True), frozen={variables[2].path: frozen})

    step(make_gradients(0), tf.constant(False))
    before = state_of(optimizer, variables)
    step(make_gradients(1), tf.constant(True))
    changed = [not same_bits(*pair) for pair in zip(before, state_of(optimizer, variables), strict=True)]
    assert changed == [True, True, False, True, True, False, True]
    step(make_gradients(1), tf.constant(False))
    assert not same_bits(before[2], variables[2].numpy())


def test_a_constraint_changes_the_new_value_but_not_the_velocity() -> None:
    constrained, free = make_variables("float64"), make_variables("float64")
    optimizers = [LARS(0.5, weight_decay=0.1), LARS(0.5, weight_decay=0.1)]
    gradients, finite = make_gradients(0, "float64"), tf.constant(True)
    optimizers[0].apply_reduced(gradients, constrained, finite=finite, constraints={constrained[2].path: tf.abs})
    optimizers[1].apply_reduced(gradients, free, finite=finite)
    np.testing.assert_array_equal(constrained[2], np.abs(free[2]))
    assert np.any(np.less(free[2], 0))
    np.testing.assert_array_equal(optimizers[0].velocity(constrained[2]), optimizers[1].velocity(free[2]))


def test_freezing_a_missing_variable_is_refused() -> None:
    variables = make_variables()
    with pytest.raises(InputError, match="no variable 'kernal': did you mean 'kernel'"):
        LARS(0.5).apply_reduced(
            make_gradients(0), variables, finite=tf.constant(True), frozen={"kernal": tf.constant(True)}
        )


@pytest.mark.parametrize("update", [apply, apply_reduced])
def test_half_precision_variables_have_float32_velocities(update: Apply) -> None:
    variables = make_variables("bfloat16")
    optimizer = LARS(0.5)
    update(optimizer, make_gradients(0, "bfloat16"), variables)
    assert {optimizer.velocity(variable).dtype for variable in variables} == {"float32"}
    assert {variable.dtype for variable in variables} == {"bfloat16"}


def test_config_round_trip() -> None:
    schedule = learning_rate_schedule(ScheduleConfig("vissl_cosine", 10, 0.1, 4.8, 0.0048), 100, 256)
    optimizer = LARS(schedule, 0.8, 1e-5, 0.002, 1e-6, True, ("bias", "gamma"), "other")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, LARS)
    assert again.get_config() == optimizer.get_config()
    assert again.exclude == ("bias", "gamma") and again.clip and again.name == "other"
    assert again.learning_rate.numpy() == optimizer.learning_rate.numpy() == np.float32(0.1)


def fitted_model(optimizer: LARS, num_epochs: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(32, 4)).astype(np.float32), random.normal(size=(32, 2)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(2)])
    model.compile(optimizer=optimizer, loss="mse")
    batches = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(16)
    model.fit(batches, epochs=num_epochs, shuffle=False, verbose=0)
    return model


# Keras 3.15 passes a tf.Variable to np.array, and TensorFlow 2.21 does not have the new protocol yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_fits_saves_and_loads_with_its_velocities(tmp_path: Path) -> None:
    model = fitted_model(LARS(0.5, weight_decay=1e-4), 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, LARS)
    assert loaded.optimizer.iterations.numpy() == 4
    left = state_of(model.optimizer, model.trainable_variables)
    right = state_of(loaded.optimizer, loaded.trainable_variables)
    assert all(same_bits(*pair) for pair in zip(left, right, strict=True))
    assert all(np.any(model.optimizer.velocity(variable)) for variable in model.trainable_variables)


@pytest.mark.multi_replica
def test_fit_is_equal_on_two_replicas() -> None:
    one = fitted_model(LARS(0.5, weight_decay=1e-4), 3)
    with two_replicas().scope():
        two = fitted_model(LARS(0.5, weight_decay=1e-4), 3)
    left = state_of(one.optimizer, one.trainable_variables)
    right = state_of(two.optimizer, two.trainable_variables)
    for expected, actual in zip(left, right, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.multi_replica
@pytest.mark.parametrize("reduced", [False, True])
def test_gradients_are_summed_once_over_replicas(reduced: bool) -> None:
    strategy = two_replicas()
    with strategy.scope():
        # A variable with norm zero takes the plain step, and this step shows the sum.
        variable = keras.Variable(np.zeros(3, np.float32))
        optimizer = LARS(0.5)
        optimizer.build([variable])

    @tf.function
    def step() -> None:
        context = tf.distribute.get_replica_context()
        gradient = tf.constant([1.0, 2.0, 3.0]) * (1.0 + 2.0 * tf.cast(context.replica_id_in_sync_group, tf.float32))
        if reduced:
            gradient = context.all_reduce("SUM", gradient)
            optimizer.apply_reduced([gradient], [variable], finite=tf.constant(True))
        else:
            optimizer.apply([gradient], [variable])

    strategy.run(step)
    for copy in strategy.experimental_local_results(variable.value):
        np.testing.assert_allclose(copy, [-2.0, -4.0, -6.0], rtol=1e-6)
    assert optimizer.iterations.numpy() == 1


@pytest.mark.multi_replica
def test_a_skipped_step_changes_no_bit_on_any_replica() -> None:
    strategy = two_replicas()
    with strategy.scope():
        variables = make_variables()
        optimizer = LARS(0.5, weight_decay=0.1)
        optimizer.build(variables)

    @tf.function
    def step(finite: tf.Tensor, frozen: tf.Tensor) -> None:
        gradients = [tf.where(finite, gradient, np.nan) for gradient in make_gradients(0)]
        optimizer.apply_reduced(gradients, variables, finite=finite, frozen={variables[0].path: frozen})

    def copies() -> list[np.ndarray]:
        slots = [optimizer.velocity(variable).value for variable in variables]
        values = [variable.value for variable in variables] + slots + [optimizer.iterations.value]
        return [copy.numpy() for value in values for copy in strategy.experimental_local_results(value)]

    strategy.run(step, args=(tf.constant(True), tf.constant(False)))
    before = copies()
    strategy.run(step, args=(tf.constant(False), tf.constant(False)))
    assert all(same_bits(*pair) for pair in zip(before, copies(), strict=True))
    strategy.run(step, args=(tf.constant(True), tf.constant(True)))
    changed = [not same_bits(*pair) for pair in zip(before, copies(), strict=True)]
    assert changed == 2 * [False] + 4 * [True] + 2 * [False] + 6 * [True]


@pytest.mark.multi_replica
@pytest.mark.parametrize("finite", [True, False])
def test_an_update_in_parts_gives_the_same_bits(finite: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_SMALL_ON_CPU", 0)  # no two variables are one group
    together = updated_on_two_replicas(finite)
    monkeypatch.setattr(lars, "PART_BYTES", 1)
    assert all(same_bits(*pair) for pair in zip(together, updated_on_two_replicas(finite), strict=True))


def updated_on_two_replicas(finite: bool) -> list[np.ndarray]:
    strategy = two_replicas()
    with strategy.scope():
        variables, optimizer = make_variables(), LARS(0.5, weight_decay=0.1)
        optimizer.build(variables)

    @tf.function
    def step() -> None:
        optimizer.apply_reduced(make_gradients(0), variables, finite=tf.constant(finite))

    strategy.run(step)
    strategy.run(step)
    return state_of(optimizer, variables)


def test_the_names_in_a_graph_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_SMALL_ON_CPU", 0)
    rng = np.random.default_rng(0)
    values, gradients = rng.normal(size=(2, 8, 64, 64)).astype(np.float32)

    def updated(operations_before: int) -> list[np.ndarray]:
        variables, optimizer = [keras.Variable(value) for value in values], LARS(0.1, weight_decay=1e-4)
        optimizer.build(variables)
        for variable in variables:
            optimizer.velocity(variable).assign(0.3 * variable)

        @tf.function
        def step(one: tf.Tensor) -> None:
            for _ in range(operations_before):  # they move the numbers in the names of later operations
                one = one * one
            optimizer.apply_reduced(tf.unstack(tf.constant(gradients)), variables, finite=one > 0)

        step(tf.constant(1.0))
        return state_of(optimizer, variables)

    expected = updated(0)
    for count in (1, 3, 6):
        assert all(same_bits(*pair) for pair in zip(expected, updated(count), strict=True))


def test_an_update_needs_little_memory_besides_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without parts the update takes two to three times the memory of the gradients."""
    monkeypatch.setattr(lars, "PART_BYTES", 2**21)
    variables = [keras.Variable(np.ones([256, 1024], np.float32)) for _ in range(24)]  # 1 MiB each
    optimizer = LARS(0.5, weight_decay=0.1)
    optimizer.build(variables)

    @tf.function
    def step() -> None:
        gradients = [tf.sin(tf.convert_to_tensor(variable.value)) for variable in variables]
        optimizer.apply_reduced(gradients, variables, finite=tf.reduce_all(tf.math.is_finite(lars.norms(gradients))))

    step()
    tf.config.experimental.reset_memory_stats("CPU:0")
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    step()
    assert 24 <= (tf.config.experimental.get_memory_info("CPU:0")["peak"] - before) / 2**20 < 24 + 10
