"""The loss of SwAV: predict the code of one crop from another crop of the same image (SwAV, section 3.2, equation 2).

Legend: V crops per image, the first A of which assign codes; B images on this replica; K prototypes.

As in the released code (vissl/losses/swav_loss.py), crops of all sizes predict, and no crop predicts its own code.
"""

import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.precision import at_least_float32
from seer_tf.quantities import counted


def swapped_prediction(scores: tf.Tensor, codes: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Returns the mean cross-entropy between codes and the predictions of the other crops.

    ```
    for a in the A assigning crops:
        for v in the V crops other than a:
            loss[a, v] = mean over images of -sum(codes[a] * log_softmax(scores[v] / temperature))
    loss = mean of loss[a, v] over v and over a
    ```

    Args:
        scores: Scores of the crops, [V, B, K], assigning crops first.
        codes: Codes [A, B, K] with 1 <= A <= V. No gradient flows through the codes.
        temperature: Temperature of the softmax over the prototypes, above zero.

    Returns:
        A scalar, at least float32: the mean over the images of this replica only.

    Raises:
        InputError: There are fewer than two crops, no codes or more codes than crops, or the temperature is not above
            zero.
    """
    num_crops, num_assigning = scores.shape[0], codes.shape[0]
    if num_crops < 2 or not 1 <= num_assigning <= num_crops:
        raise InputError(
            f"swapped prediction needs two or more crops, the first of which have codes; got "
            f"{counted(num_crops, 'crop')}, {num_assigning} with codes"
        )
    if temperature <= 0:
        raise InputError(f"the temperature of swapped prediction must be above zero, but is {temperature}")
    dtype = at_least_float32(scores.dtype)
    codes = tf.cast(tf.stop_gradient(codes), dtype)  # [A, B, K]
    log_predictions = tf.nn.log_softmax(tf.cast(scores, dtype) / temperature)  # [V, B, K]
    cross_entropies = -tf.einsum("abk,vbk->av", codes, log_predictions)  # [A, V], summed over images
    others = 1 - tf.eye(num_assigning, num_crops, dtype=dtype)  # [A, V]
    num_terms = tf.cast(num_assigning * (num_crops - 1) * tf.shape(scores)[1], dtype)
    return tf.reduce_sum(others * cross_entropies) / num_terms
