"""LARS in NumPy: apex's LARC around PyTorch's SGD, written from their documented update."""

import numpy as np


class LARS:
    """LARS for one variable, with one velocity. `step` returns the new value."""

    def __init__(self, *, momentum: float, weight_decay: float, trust_coefficient: float, epsilon: float, clip: bool):
        """Takes the arguments of `seer_tf.optimizers.lars.LARS`."""
        self.momentum, self.weight_decay = momentum, weight_decay
        self.trust_coefficient, self.epsilon, self.clip = trust_coefficient, epsilon, clip
        self.velocity: np.ndarray | float = 0.0

    def step(self, value: np.ndarray, gradient: np.ndarray, learning_rate: float) -> np.ndarray:
        """Returns the value after one step, in float64."""
        value, gradient = value.astype(np.float64), gradient.astype(np.float64)
        length, slope = np.sqrt(np.sum(value**2)), np.sqrt(np.sum(gradient**2))
        if length != 0 and slope != 0:
            ratio = self.trust_coefficient * length / (slope + length * self.weight_decay + self.epsilon)
            if self.clip:
                ratio = min(ratio / learning_rate, 1.0)
            gradient = ratio * (gradient + self.weight_decay * value)
        self.velocity = self.momentum * self.velocity + gradient
        return value - learning_rate * self.velocity
