"""What stands for the gradients of an exported network when it is compared: one norm for each variable."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf


def gradient_norms(
    function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], inputs: tf.Tensor, variables: Sequence[tf.Variable]
) -> np.ndarray:
    """Returns the norm of the gradient by each variable, [len(variables)], as the scripts of `readers/` do.

    Args:
        function: From the inputs to outputs by name, of which the loss is the sum of squares of those in float32.
        inputs: Of the function.
        variables: What to differentiate by.
    """

    @tf.function
    def norms(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            floats = [value for value in function(inputs).values() if value.dtype == tf.float32]
            loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in floats])
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.stack([tf.norm(gradient) for gradient in gradients])

    return norms(inputs).numpy()
