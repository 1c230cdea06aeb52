"""PyTorch's SGD with momentum (torch.optim.SGD), from its documentation, for one variable."""

import numpy as np


def sgd(
    value: np.ndarray,
    gradients: list[np.ndarray],
    rates: list[float],
    *,
    momentum: float,
    nesterov: bool,
    decay: float,
) -> np.ndarray:
    """Returns the variable after one step for each gradient, with its own rate."""
    buffer = np.zeros_like(value)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + decay * value
        buffer = momentum * buffer + gradient
        value = value - rate * (gradient + momentum * buffer if nesterov else buffer)
    return value
