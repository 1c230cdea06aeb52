"""What the steps of all tasks share: reduction over replicas, the check for finite numbers, the end of a step."""

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.optimizers.packing import Packing
from seer_tf.training.moving_statistics import MovingStatistics, moving_variables
from seer_tf.training.state import RunState


@dataclasses.dataclass(frozen=True)
class Contribution:
    """What one replica contributes to a step.

    Attributes:
        loss: Scalar, this replica's share of the mean over all images. The sum over replicas is the loss.
        scaled: Gradient of loss times loss scale for each trained variable. The sum over replicas is the gradient.
        scores: Output of the network for the images, of any shape.
    """

    loss: tf.Tensor
    scaled: list[tf.Tensor]
    scores: tf.Tensor


def reduce_contributions(
    state: RunState, own: Contribution, statistics: MovingStatistics
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Sums loss and gradients over all replicas, and finds the first tensor that is not finite on any replica.

    All replicas must decide alike whether to skip the step, so the decision follows the reduction. The scores and
    moving statistics of each replica are checked too: an infinity inside the network can vanish in a ReLU before it
    reaches the loss.

    Args:
        state: State of the run.
        own: Contribution of this replica.
        statistics: Moving statistics, with the values that the forward passes of this replica gave them.

    Returns:
        The mean loss, a scalar; its gradient for each trained variable; and `first_bad`, an int32 scalar: the index in
        `checked_tensors(state)` of the first tensor that is not finite, -1 if all are finite.
    """
    own_bad = _not_finite([*statistics.means(), own.scores])
    loss, num_bad = collectives.all_reduce_together([own.loss, tf.cast(own_bad, own.loss.dtype)])
    precision = state.config.run.reduce_precision
    wire_dtype = None if precision == "float32" else tf.as_dtype(precision)
    gradients = state.loss_scale.unscaled(collectives.all_reduce_in_buckets(own.scaled, wire_dtype=wire_dtype))
    bad = tf.concat([num_bad > 0, _not_finite([loss, *gradients])], axis=0)
    return loss, gradients, tf.where(tf.reduce_any(bad), tf.argmax(bad, output_type=tf.int32), -1)


def finish_step(
    state: RunState,
    statistics: MovingStatistics,
    updates: Sequence[tuple[tf.Variable, tf.Tensor]] = (),
    *,
    loss: tf.Tensor,
    first_bad: tf.Tensor,
    learning_rate: tf.Tensor,
    frozen: Mapping[str, tf.Tensor] | None = None,
) -> dict[str, tf.Tensor]:
    """Updates everything but the weights, and returns the numbers that every step reports.

    Args:
        state: State of the run. Its loss scale and its counters change; in a skipped step nothing else does.
        statistics: Moving statistics of the model.
        updates: Further variables with their new values.
        loss: Mean loss, a scalar.
        first_bad: Index of the first tensor that is not finite, from `reduce_contributions`.
        learning_rate: Learning rate of the update, a scalar.
        frozen: Bool scalars, by path of each variable that may be frozen.

    Returns:
        Scalars by name.
    """
    finite = first_bad < 0
    statistics.assign(finite, frozen or {})
    settled = [(variable, tf.where(finite, new, variable)) for variable, new in updates]
    collectives.assign([*settled, *state.loss_scale.updates(finite), *state.skipped.updates(finite)])
    return {
        "loss": loss,
        "first_bad": first_bad,
        "skipped_in_a_row": tf.identity(state.skipped.in_a_row),
        "loss_scale": tf.identity(state.loss_scale.value),
        "learning_rate": learning_rate,
    }


def checked_tensors(state: RunState) -> list[str]:
    """Returns the names of the tensors that a step checks for finite numbers, in the order in which it checks them."""
    return [
        *(variable.path for network in state.networks for variable in moving_variables(network)),
        "the scores",
        "the loss",
        *(f"the gradient of {variable.path}" for variable in state.model.trainable_variables),
    ]


def _not_finite(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Returns bool [len(tensors)], true where the sum of squares is not finite."""
    packing = Packing([tensor.shape for tensor in tensors], [tensor.dtype for tensor in tensors])
    return ~packing.in_order([tf.math.is_finite(each) for each in packing.l2_losses(packing.joined(tensors))])
