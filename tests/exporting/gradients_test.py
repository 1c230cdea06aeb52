"""Norms of gradients: values by hand, differences that count as rounding, and differences that are refused."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.exporting.gradients import check_gradient_norms, gradient_norms

_EXPECTED = np.array([3.0, 100.0, 1e-6, 0.0], np.float32)


def test_norms_belong_to_the_gradients_of_the_sum_of_squares():
    weight, unused = tf.Variable([3.0, 4.0]), tf.Variable(1.0)
    inputs = tf.constant([[1.0, 2.0]])
    norms = gradient_norms(
        lambda values: {"product": values * weight, "number": tf.constant(1)}, inputs, [weight, unused]
    )
    np.testing.assert_allclose(norms, [np.hypot(2 * 3.0, 2 * 4.0 * 4.0), 0.0])


@pytest.mark.parametrize(
    "factors", [[1, 1, 1, 1], [1.003, 0.997, 1, 1], [1, 1, 50, 1]], ids=["equal", "corner", "tiny"]
)
def test_rounding_passes(factors):
    check_gradient_norms(_EXPECTED * np.float32(factors), _EXPECTED)


@pytest.mark.parametrize(
    "found",
    [[2.7, 100, 1e-6, 0], [3, 100, 1e-6, 1], [3, np.nan, 1e-6, 0], [3, 100, 1e-6]],
    ids=["a term is missing", "a gradient too many", "not finite", "fewer variables"],
)
def test_other_gradients_are_refused(found):
    with pytest.raises(InputError, match="gradients of the file differ"):
        check_gradient_norms(np.array(found), _EXPECTED)
