"""The gradients of an exported network, compared with the network's by one norm for each variable."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError

# Rounding moves a value near 0 across the corner of ReLU, and its gradient with it: 3e-3 was seen between two forms of
# one network. A gradient that lacks a term differs by more.
_TOLERANCE = 0.05


def gradient_norms(
    function: Callable[[tf.Tensor], Mapping[str, tf.Tensor]], inputs: tf.Tensor, variables: Sequence[tf.Variable]
) -> np.ndarray:
    """Returns the norm of each variable's gradient, [len(variables)], as the scripts in `readers/` do.

    Args:
        function: Function from inputs to outputs by name. The loss is the sum of squares of its float32 outputs.
        inputs: Inputs of the function.
        variables: Variables by which the loss is differentiated.
    """

    @tf.function
    def norms(inputs: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            floats = [value for value in function(inputs).values() if value.dtype == tf.float32]
            loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in floats])
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.stack([tf.norm(gradient) for gradient in gradients])

    return norms(inputs).numpy()


def check_gradient_norms(found: np.ndarray, expected: np.ndarray) -> None:
    """Compares the norms of a file's gradients with those of the network.

    Args:
        found: Norms from the file, [V].
        expected: Norms from the network, [V].

    Raises:
        InputError: The file has another number of variables, or one of its gradients differs.
    """
    scale = expected + 1e-3 * expected.max()  # tiny gradients are rounding alone
    if found.shape != expected.shape or not np.all(np.abs(found - expected) <= _TOLERANCE * scale):
        raise InputError(
            "the gradients of the file differ from the network's, so it could not be fine-tuned and nothing was written"
        )
