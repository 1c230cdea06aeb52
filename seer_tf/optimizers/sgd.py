"""SGD as in PyTorch, with a rate and a decay for each variable, for a step that has already reduced its gradients.

Keras's SGD keeps the learning rate inside the velocity, so that a change of the rate takes full effect only later. It
also applies weight decay outside the gradient.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from seer_tf.distributed import collectives


class SGD:
    """Stochastic gradient descent with momentum.

    ```
    for variable, gradient, velocity, factor, decay:
        gradient = gradient + decay * variable
        velocity = momentum * velocity + gradient
        variable = variable - learning_rate * factor * (gradient + momentum * velocity if nesterov else velocity)
    ```

    Attributes:
        iterations: Number of updates, an int64 scalar variable.
        velocities: One velocity for each variable.
    """

    def __init__(
        self,
        learning_rate: keras.optimizers.schedules.LearningRateSchedule,
        variables: Sequence[keras.Variable],
        *,
        momentum: float,
        nesterov: bool,
        factors: Sequence[float],
        decays: Sequence[float],
    ) -> None:
        """Makes the velocities as zeros. Call this inside the scope of the strategy.

        Args:
            learning_rate: Learning rate as a function of the iterations.
            variables: Trained variables.
            momentum: Fraction of the velocity that is kept in a step.
            nesterov: Whether to use Nesterov momentum.
            factors: Factor on the learning rate for each variable.
            decays: Weight decay of each variable.
        """
        self._schedule, self._variables = learning_rate, [variable.value for variable in variables]
        self._paths = [variable.path for variable in variables]
        self._momentum, self._nesterov = momentum, nesterov
        self._factors, self._decays = list(factors), list(decays)
        self.iterations = collectives.shared_variable(0, tf.int64, "iterations")
        self.velocities = [
            collectives.shared_variable(tf.zeros(variable.shape, variable.dtype), variable.dtype, "velocity")
            for variable in self._variables
        ]

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the velocities and the count of iterations by their names in a checkpoint."""
        velocities = {f"sgd/velocity/{path}": each for path, each in zip(self._paths, self.velocities, strict=True)}
        return velocities | {"sgd/iterations": self.iterations}

    @property
    def learning_rate(self) -> tf.Tensor:
        """Returns the learning rate of the next update, a float32 scalar."""
        return tf.cast(self._schedule(self.iterations), tf.float32)

    def apply_reduced(self, gradients: Sequence[tf.Tensor], *, finite: tf.Tensor) -> None:
        """Takes one step with gradients that are already reduced over the replicas. It reduces nothing.

        Args:
            gradients: One gradient for each variable.
            finite: Bool scalar, the same on all replicas. If false, all variables stay, bit for bit.
        """
        rate, updates = self.learning_rate, []
        terms = zip(self._variables, gradients, self.velocities, self._factors, self._decays, strict=True)
        for variable, gradient, velocity, factor, decay in terms:
            gradient = tf.cast(gradient, variable.dtype) + decay * variable
            moved = self._momentum * velocity + gradient
            step = gradient + self._momentum * moved if self._nesterov else moved
            value = variable - tf.cast(rate, variable.dtype) * factor * step
            updates += [(variable, tf.where(finite, value, variable)), (velocity, tf.where(finite, moved, velocity))]
        collectives.assign([*updates, (self.iterations, self.iterations + tf.cast(finite, tf.int64))])


def layer_factors(paths: Sequence[str], *, layer_decay: float) -> list[float]:
    """Returns a learning-rate factor for each variable of a backbone: 1 in the last layer, and less in lower layers.

    Args:
        paths: Paths of the variables, from the input to the output. Paths in one layer agree up to the first slash.
        layer_decay: Ratio between the factor of a layer and the factor of the layer above.
    """
    layers = list(dict.fromkeys(path.partition("/")[0] for path in paths))
    return [layer_decay ** (len(layers) - 1 - layers.index(path.partition("/")[0])) for path in paths]
