"""The loss scale: the values that it multiplies, its changes, and exact results."""

import numpy as np
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.optimizers.loss_scale import LossScale


def after(scale: LossScale, *finite: bool) -> list[float]:
    values = []
    for each in finite:
        collectives.assign(scale.updates(tf.constant(each)))
        values.append(scale.value.numpy() / 2**15)
    return values


def test_an_overflow_halves_the_scale_and_good_steps_in_a_row_double_it() -> None:
    scale = LossScale(dynamic=True, doubled_after_steps=3)
    assert after(scale, True, True, True, True) == [1, 1, 2, 2]
    assert after(scale, False, False) == [1, 0.5]
    assert after(scale, True, True, False, True, True, True) == [0.5, 0.5, 0.25, 0.25, 0.25, 0.5]


def test_the_scale_doubles_after_two_thousand_steps_by_default() -> None:
    scale = LossScale(dynamic=True)
    scale.good_steps.assign(1998)
    assert after(scale, True, True) == [1, 2]


def test_scaling_and_unscaling_changes_no_bit_of_the_gradients() -> None:
    scale, gradient = LossScale(dynamic=True), tf.constant(np.random.default_rng(0).normal(size=9), tf.float32)
    assert float(scale.scaled(tf.constant(0.75, tf.float64))) == 0.75 * 2**15
    np.testing.assert_array_equal(scale.unscaled([gradient * 2.0**15])[0], gradient)


def test_without_float16_the_scale_stays_one() -> None:
    scale, loss = LossScale(dynamic=False), tf.constant(0.3)
    assert scale.scaled(loss) is loss
    assert scale.updates(tf.constant(False)) == []
    assert scale.value.numpy() == 1
