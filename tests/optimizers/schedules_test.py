"""Learning rates: SEER's numbers, the schedules of the released scripts, and the round trip through a config."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import ScheduleConfig
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.optimizers.schedules import KINDS, learning_rate_schedule, scaled_learning_rate
from tests.references import schedules as oracle


def rates(num_steps: int, *, kind: str, warmup_steps: int) -> np.ndarray:
    schedule = learning_rate_schedule(ScheduleConfig(kind, warmup_steps, 0.15, 9.6, 0.0096), num_steps, 256)
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


def test_swav_continues_from_the_peak() -> None:
    values = rates(122_070, kind="swav_cosine", warmup_steps=8000)
    np.testing.assert_allclose(values[7999:8001], 9.6, rtol=1e-6)
    assert values.argmax() in (7999, 8000)


def test_constant_stays_at_the_peak() -> None:
    values = rates(50, kind="constant", warmup_steps=10)
    np.testing.assert_allclose(values[:10], 0.15 + 9.45 * np.arange(10) / 10, rtol=1e-6)
    np.testing.assert_allclose(values[10:], 9.6, rtol=1e-6)


@pytest.mark.parametrize(("kind", "end"), [("swav_cosine", 0.0096), ("vissl_cosine", 0.0096), ("constant", 9.6)])
def test_the_rate_stays_constant_after_the_last_step(kind: str, end: float) -> None:
    schedule = learning_rate_schedule(ScheduleConfig(kind, 10, 0.15, 9.6, 0.0096), 100, 256)
    np.testing.assert_allclose(schedule(tf.constant([100, 101, 10_000], tf.int64)), end, rtol=1e-6)


def test_the_rates_scale_with_the_batch() -> None:
    config = ScheduleConfig("vissl_cosine", 10, 0.15, 9.6, 0.0096, reference_batch_size=8192)
    steps = tf.constant([0, 5, 10, 60, 100], tf.int64)
    paper, half = (learning_rate_schedule(config, 100, batch)(steps) for batch in (8192, 4096))
    np.testing.assert_allclose(paper[0], 0.15, rtol=1e-6)
    np.testing.assert_allclose(half, paper / 2, rtol=1e-6)


def test_the_rates_of_the_papers_are_three_tenths_for_256_images() -> None:
    assert scaled_learning_rate(0.3, 8192) == pytest.approx(9.6)
    assert scaled_learning_rate(0.3, 7936) == pytest.approx(9.3)
    assert scaled_learning_rate(0.3, 4096) == pytest.approx(4.8)


def test_simclrs_rate_for_small_batches_grows_with_the_root_of_the_batch() -> None:
    config = ScheduleConfig("constant", 0, 0.0, 0.075, reference_batch_size=1, batch_scaling="square_root")
    assert float(learning_rate_schedule(config, 10, 4096)(tf.constant(3))) == pytest.approx(4.8)
    assert float(learning_rate_schedule(config, 10, 256)(tf.constant(3))) == pytest.approx(1.2)


def rates_by_loss(losses: np.ndarray, *, warmup_steps: int, window_steps: int, final: float = 0.0) -> np.ndarray:
    """Returns the learning rate of each step of a run with these losses."""
    config = ScheduleConfig("constant_then_halve", warmup_steps, 0.0, 8.0, final, halving_window_steps=window_steps)
    schedule = learning_rate_schedule(config, len(losses), 256)

    @tf.function
    def step(number: tf.Tensor, loss: tf.Tensor) -> tf.Tensor:
        rate = schedule(number)
        collectives.assign(schedule.observed(number, loss))
        return rate

    return np.array([step(tf.constant(number), tf.constant(loss)) for number, loss in enumerate(losses)])


def test_the_rate_halves_if_the_loss_of_a_window_is_no_new_minimum() -> None:
    windows = [[5, 9], [6, 6], [6, 6], [5, 5], [7, 4], [4, 5], [1, 1]]  # means 7, 6, 6, 5, 5.5, 4.5, 1
    losses = np.concatenate([[0.0, 0.0], *windows])
    expected = [0, 4] + 2 * [8] + 2 * [8] + 2 * [8] + 2 * [4] + 2 * [4] + 2 * [2] + 2 * [2]
    np.testing.assert_array_equal(rates_by_loss(losses, warmup_steps=2, window_steps=2), expected)


def test_never_falls_below_the_final_rate() -> None:
    rates = rates_by_loss(np.full(12, 3.0), warmup_steps=0, window_steps=2, final=3.0)
    np.testing.assert_array_equal(rates, 4 * [8.0] + 2 * [4.0] + 6 * [3.0])


def test_halving_needs_a_window() -> None:
    with pytest.raises(InputError, match="schedule.halving_window_steps=0 must be above zero"):
        learning_rate_schedule(ScheduleConfig("constant_then_halve"), 100, 256)


@pytest.mark.parametrize("kind", KINDS)
def test_config_round_trip(kind: str) -> None:
    config = ScheduleConfig(kind, 10, 0.15, 9.6, 0.0096, halving_window_steps=5)
    schedule = learning_rate_schedule(config, 100, 256)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    np.testing.assert_array_equal(again(tf.range(100)), schedule(tf.range(100)))


def test_an_unknown_kind_names_the_nearest_and_the_valid_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'swav_cosine'.*swav_cosine, vissl_cosine, constant"):
        learning_rate_schedule(ScheduleConfig(kind="swav_cosin"), 100, 256)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match="warmup_steps=200 must be between 0 and the length of the run, 100 steps"):
        learning_rate_schedule(ScheduleConfig(warmup_steps=200), 100, 256)
