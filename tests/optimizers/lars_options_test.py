"""The options that every Keras optimizer has work with LARS as documented. The oracle is LARS in NumPy."""

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.optimizers.lars import LARS
from tests.references import lars as oracle

_SETTINGS: dict[str, Any] = {"momentum": 0.8, "weight_decay": 0.03, "trust_coefficient": 0.02, "epsilon": 1e-3}
_SHAPES = ((5, 3), (4,))
_LEARNING_RATE = 0.5

Arrays = list[np.ndarray]


def _arrays(seed: int, scale: float = 1.0) -> Arrays:
    random = np.random.default_rng(seed)
    return [scale * random.normal(size=shape) for shape in _SHAPES]


def _variables() -> list[keras.Variable]:
    return [keras.Variable(value, dtype="float64") for value in _arrays(100)]


def _apply(optimizer: LARS, variables: list[keras.Variable], gradients: Arrays) -> None:
    optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)


class _Oracle:
    """LARS in NumPy for all variables."""

    def __init__(self) -> None:
        self._each = [oracle.LARS(clip=False, **_SETTINGS) for _ in _SHAPES]
        self.values = _arrays(100)

    def step(self, gradients: Arrays) -> Arrays:
        steps = zip(self._each, self.values, gradients, strict=True)
        self.values = [each.step(value, gradient, _LEARNING_RATE) for each, value, gradient in steps]
        return self.values


def _assert_close(variables: list[keras.Variable], expected: Arrays) -> None:
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-10)


def _norm(array: np.ndarray) -> float:
    return float(np.sqrt(np.sum(array**2)))


def _clipped(option: str, limit: float, gradients: Arrays) -> Arrays:
    if option == "clipvalue":
        return [np.clip(gradient, -limit, limit) for gradient in gradients]
    whole = _norm(np.concatenate([gradient.ravel() for gradient in gradients]))
    norms = [whole if option == "global_clipnorm" else _norm(gradient) for gradient in gradients]
    return [gradient * min(1.0, limit / norm) for gradient, norm in zip(gradients, norms, strict=True)]


@pytest.mark.parametrize("option", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_gradients_are_clipped_before_the_weight_decay_is_added(option: str) -> None:
    limit, expected, variables = 0.1, _Oracle(), _variables()
    settings: dict[str, Any] = {**_SETTINGS, option: limit}
    optimizer = LARS(_LEARNING_RATE, **settings)
    for seed, scale in enumerate((1.0, 0.001, 10.0)):  # the second scale is below the limit
        gradients = _arrays(seed, scale)
        _apply(optimizer, variables, gradients)
        _assert_close(variables, expected.step(_clipped(option, limit, gradients)))
    free = _variables()
    _apply(LARS(_LEARNING_RATE, **_SETTINGS), free, _arrays(0))
    assert np.any(np.abs(free[0].numpy() - _Oracle().step(_clipped(option, limit, _arrays(0)))[0]) > 1e-6)


def test_accumulated_gradients_give_one_step_with_their_mean() -> None:
    expected, variables = _Oracle(), _variables()
    optimizer = LARS(_LEARNING_RATE, **_SETTINGS, gradient_accumulation_steps=3)
    for number in range(2):
        parts = [_arrays(10 * number + part) for part in range(3)]
        for part in parts[:2]:
            _apply(optimizer, variables, part)
            _assert_close(variables, expected.values)
        _apply(optimizer, variables, parts[2])
        _assert_close(variables, expected.step([np.mean(each, axis=0) for each in zip(*parts, strict=True)]))
    assert int(optimizer.iterations) == 2


def test_a_scaled_loss_gives_the_same_step() -> None:
    expected, variables = _Oracle(), _variables()
    optimizer = LARS(_LEARNING_RATE, **_SETTINGS, loss_scale_factor=1024.0)
    assert float(optimizer.scale_loss(tf.constant(2.0))) == 2048.0
    for seed in range(2):
        _apply(optimizer, variables, _arrays(seed, 1024.0))
        _assert_close(variables, expected.step(_arrays(seed)))


@pytest.mark.parametrize("every", [None, 2])
def test_the_average_follows_the_variables_and_replaces_them(every: int | None) -> None:
    expected, variables, average = _Oracle(), _variables(), _arrays(100)
    optimizer = LARS(_LEARNING_RATE, **_SETTINGS, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=every)
    for step in range(4):
        _apply(optimizer, variables, _arrays(step))
        values = expected.step(_arrays(step))
        kept = 0.75 if step else 0.0  # the average starts at the variables after the first step
        average = [kept * old + (1 - kept) * new for old, new in zip(average, values, strict=True)]
        if every and (step + 1) % every == 0:
            expected.values = average
        _assert_close(variables, expected.values)
    optimizer.finalize_variable_values(variables)
    _assert_close(variables, average)


def test_all_options_are_in_the_config() -> None:
    options: dict[str, Any] = {
        "clipvalue": 0.5,
        "use_ema": True,
        "ema_momentum": 0.9,
        "ema_overwrite_frequency": 7,
        "loss_scale_factor": 2.0,
        "gradient_accumulation_steps": 4,
    }
    again = keras.optimizers.deserialize(keras.optimizers.serialize(LARS(0.1, **_SETTINGS, **options)))
    assert {name: again.get_config()[name] for name in options} == options
    for option in ("clipnorm", "global_clipnorm"):
        limit: dict[str, Any] = {option: 3.0}
        config = LARS(0.1, **limit).get_config()
        assert config[option] == 3.0 and LARS.from_config(config).get_config() == config


def test_two_clipping_options_are_refused() -> None:
    with pytest.raises(ValueError, match="Only one of `clipnorm`, `clipvalue` and `global_clipnorm`"):
        LARS(0.1, clipnorm=1.0, clipvalue=1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0},
        {"use_ema": True},
        {"loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2},
    ],
)
def test_a_step_with_reduced_gradients_refuses_options_without_effect(options: dict[str, Any]) -> None:
    variables, gradients = _variables(), [tf.constant(gradient) for gradient in _arrays(0)]
    with pytest.raises(InputError, match=re.escape(f"`{next(iter(options))}` has no effect")):
        LARS(0.1, **options).apply_reduced(gradients, variables, finite=tf.constant(True))


# Keras 3.15 passes a tf.Variable to np.array, and TensorFlow 2.21 does not have the new protocol yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_fit_ends_with_the_averages_and_a_file_keeps_them(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(32, 4)).astype(np.float32), random.normal(size=(32, 2)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    options: dict[str, Any] = {"global_clipnorm": 0.5, "use_ema": True, "gradient_accumulation_steps": 2}
    model.compile(optimizer=LARS(0.5, weight_decay=1e-4, **options), loss="mse")
    model.fit(tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(8), epochs=2, shuffle=False, verbose=0)
    averages = model.optimizer._model_variables_moving_average
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(variable, average)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert loaded.get_config() == model.optimizer.get_config()
    for ours, theirs in zip(model.optimizer.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
