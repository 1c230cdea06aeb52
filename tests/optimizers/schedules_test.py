"""Learning rates: SEER's numbers, the schedules of the released scripts, and the way through a config."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import ScheduleConfig
from seer_tf.errors import InputError
from seer_tf.optimizers.schedules import KINDS, learning_rate_schedule
from tests.references import schedules as oracle


def rates(num_steps: int, *, kind: str, warmup_steps: int) -> np.ndarray:
    schedule = learning_rate_schedule(ScheduleConfig(kind, warmup_steps, 0.15, 9.6, 0.0096), num_steps)
    return schedule(tf.range(num_steps)).numpy()


@pytest.mark.parametrize("kind", ["swav_cosine", "vissl_cosine"])
@pytest.mark.parametrize("warmup_steps", [0, 1, 7, 100])
def test_equals_the_released_schedule(kind: str, warmup_steps: int) -> None:
    expected = getattr(oracle, kind)(100, warmup_steps, 0.15, 9.6, 0.0096)
    np.testing.assert_allclose(rates(100, kind=kind, warmup_steps=warmup_steps), expected, rtol=1e-6)


def test_vissl_drops_at_the_end_of_the_warm_up_of_regnety_256gf() -> None:
    values = rates(122_070, kind="vissl_cosine", warmup_steps=8000)
    assert values[0] == np.float32(0.15)
    assert 9.59 < values[7999] < 9.6
    np.testing.assert_allclose(values[8000], 9.499, atol=5e-4)


def test_swav_goes_on_from_the_peak() -> None:
    values = rates(122_070, kind="swav_cosine", warmup_steps=8000)
    np.testing.assert_allclose(values[7999:8001], 9.6, rtol=1e-6)
    assert values.argmax() in (7999, 8000)


def test_constant_stays_at_the_peak() -> None:
    values = rates(50, kind="constant", warmup_steps=10)
    np.testing.assert_allclose(values[:10], 0.15 + 9.45 * np.arange(10) / 10, rtol=1e-6)
    np.testing.assert_allclose(values[10:], 9.6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "end"), [("swav_cosine", 0.0096), ("vissl_cosine", 0.0096), ("constant", 9.6)])
def test_stays_as_it_is_after_the_last_step(kind: str, end: float) -> None:
    schedule = learning_rate_schedule(ScheduleConfig(kind, 10, 0.15, 9.6, 0.0096), 100)
    np.testing.assert_allclose(schedule(tf.constant([100, 101, 10_000], tf.int64)), end, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip(kind: str) -> None:
    schedule = learning_rate_schedule(ScheduleConfig(kind, 10, 0.15, 9.6, 0.0096), 100)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    np.testing.assert_array_equal(again(tf.range(100)), schedule(tf.range(100)))


def test_an_unknown_kind_names_the_nearest_and_the_valid_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'swav_cosine'.*swav_cosine, vissl_cosine, constant"):
        learning_rate_schedule(ScheduleConfig(kind="swav_cosin"), 100)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match="warmup_steps=200 must be between 0 and the length of the run, 100 steps"):
        learning_rate_schedule(ScheduleConfig(warmup_steps=200), 100)
