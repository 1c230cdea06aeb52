"""SGD with a rate for each layer equals NumPy and PyTorch. A skipped step changes nothing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from seer_tf.optimizers.sgd import SGD, layer_factors
from tests.references.sgd import sgd

_SHAPES = ((3, 4), (4,), (2, 5))
_FACTORS, _DECAYS = (0.25, 0.5, 3.0), (0.1, 0.0, 0.05)
_RATES = (0.3, 0.3, 0.07, 0.07)  # the rate changes within the run, which tells this SGD from Keras's own


def _schedule() -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.3, 0.07])


@pytest.mark.parametrize("nesterov", [False, True])
def test_each_variable_moves_as_in_pytorch_at_its_own_rate(nesterov: bool) -> None:
    random = np.random.default_rng(0)
    starts = [random.normal(size=shape) for shape in _SHAPES]
    gradients = [[random.normal(size=shape) for shape in _SHAPES] for _ in _RATES]
    variables = [keras.Variable(start, dtype="float64") for start in starts]
    optimizer = SGD(_schedule(), variables, momentum=0.9, nesterov=nesterov, factors=_FACTORS, decays=_DECAYS)
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in starts]
    settings = zip(parameters, _FACTORS, _DECAYS, strict=True)
    groups = [{"params": [one], "lr": factor, "weight_decay": decay} for one, factor, decay in settings]
    theirs = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=nesterov)
    for rate, of_step in zip(_RATES, gradients, strict=True):
        optimizer.apply_reduced([tf.constant(gradient) for gradient in of_step], finite=tf.constant(True))
        for group, parameter, factor, gradient in zip(theirs.param_groups, parameters, _FACTORS, of_step, strict=True):
            group["lr"], parameter.grad = rate * factor, torch.tensor(gradient)
        theirs.step()
    for index, variable in enumerate(variables):
        expected = sgd(
            starts[index],
            [of_step[index] for of_step in gradients],
            [rate * _FACTORS[index] for rate in _RATES],
            momentum=0.9,
            nesterov=nesterov,
            decay=_DECAYS[index],
        )
        # The learning rate is a float32.
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(variable.numpy(), parameters[index].detach().numpy(), rtol=1e-6)
    assert int(optimizer.iterations) == len(_RATES)


def test_a_skipped_step_changes_nothing() -> None:
    variable = keras.Variable(np.ones([2]), dtype="float32")
    optimizer = SGD(_schedule(), [variable], momentum=0.9, nesterov=True, factors=[1.0], decays=[0.1])
    optimizer.apply_reduced([tf.constant([1.0, 2.0])], finite=tf.constant(True))
    before = [variable.numpy(), optimizer.velocities[0].numpy(), int(optimizer.iterations)]
    optimizer.apply_reduced([tf.constant([np.nan, np.inf])], finite=tf.constant(False))
    after = [variable.numpy(), optimizer.velocities[0].numpy(), int(optimizer.iterations)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rates_fall_from_layer_to_layer() -> None:
    paths = ["stem/conv/kernel", "stem/bn/gamma", "stage1_block1/a/kernel", "stage2_block1/a/kernel"]
    assert layer_factors(paths, layer_decay=0.5) == [0.25, 0.25, 0.5, 1.0]
    assert layer_factors(paths, layer_decay=1.0) == [1.0] * 4
