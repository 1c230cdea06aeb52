"""Gradients by central differences."""

from collections.abc import Callable

import numpy as np


def numerical_gradient(function: Callable[[np.ndarray], float], x: np.ndarray, *, step: float = 1e-6) -> np.ndarray:
    """Returns the gradient of a scalar function of float64 x, in the shape of x."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[place] = step
        gradient[place] = (function(x + shift) - function(x - shift)) / (2 * step)
    return gradient
