"""Loss scaling: keeps float16 gradients within float16's range (Micikevicius et al., arXiv 1710.03740, section 3.2).

Keras's `LossScaleOptimizer` decides on each replica before the gradients are reduced, so replicas may disagree. Here
the step decides once for all replicas, from the reduced gradients.
"""

from collections.abc import Sequence

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.optimizers.packing import Packing

_START = 2.0**15


class LossScale:
    """A factor on the loss. It is halved if a step overflows, and doubled after many steps without an overflow.

    Attributes:
        dynamic: Whether the factor adapts. Otherwise it is one.
        value: The factor, a float32 scalar variable.
        good_steps: Number of steps since the factor last changed, an int64 scalar variable.
    """

    def __init__(self, *, dynamic: bool, doubled_after_steps: int = 2000) -> None:
        """Makes the variables. Call this inside the scope of the strategy.

        Args:
            dynamic: Whether the factor adapts, as is necessary for float16.
            doubled_after_steps: Number of consecutive good steps after which the factor is doubled.
        """
        self.dynamic, self._doubled_after_steps = dynamic, doubled_after_steps
        self.value = collectives.shared_variable(_START if dynamic else 1.0, tf.float32, "loss_scale")
        self.good_steps = collectives.shared_variable(0, tf.int64, "good_steps")

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns the loss whose gradients are taken."""
        return loss * tf.cast(self.value, loss.dtype) if self.dynamic else loss

    def unscaled(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients of the loss without the factor. It is a power of two, so nothing is rounded."""
        if not self.dynamic:
            return list(gradients)
        packing = Packing([gradient.shape for gradient in gradients], [gradient.dtype for gradient in gradients])
        return packing.separated([joined / tf.cast(self.value, joined.dtype) for joined in packing.joined(gradients)])

    def updates(self, finite: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their values after a step.

        Args:
            finite: Whether the reduced gradients were finite, a bool scalar.
        """
        if not self.dynamic:
            return []
        good_steps = tf.where(finite, self.good_steps + 1, 0)
        double = good_steps >= self._doubled_after_steps
        factor = tf.where(finite, tf.where(double, 2.0, 1.0), 0.5)
        return [
            (self.value, self.value * factor),
            (self.good_steps, tf.where(double, tf.zeros_like(good_steps), good_steps)),
        ]
