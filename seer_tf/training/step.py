"""What the steps of all tasks share: one reduction of gradients, and the check that all numbers are finite."""

import dataclasses

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.state import RunState


@dataclasses.dataclass(frozen=True)
class Contribution:
    """What one replica contributes to a step of any kind.

    Attributes:
        loss: scalar, its share of the mean over all images; to be summed over the replicas.
        scaled: for each trained variable the gradient of loss times loss scale; to be summed likewise.
        scores: what the network says of the images, of any shape.
    """

    loss: tf.Tensor
    scaled: list[tf.Tensor]
    scores: tf.Tensor


def reduced(
    state: RunState, own: Contribution, statistics: MovingStatistics
) -> tuple[tf.Tensor, list[tf.Tensor], tf.Tensor]:
    """Returns loss and gradients of all replicas together, and what of this step is not finite on any of them.

    All replicas must decide alike, so the decision falls after the reduction. A replica's own scores and statistics are
    looked at too: what is infinite in the middle of the network may be lost in a ReLU before it reaches the loss.

    Args:
        state: of the run.
        own: of this replica.
        statistics: with what this replica's forward passes have made of them.

    Returns:
        The mean loss; its gradient by each trained variable; and `first_bad` as `train_step` returns it.
    """
    own_bad = _not_finite([*statistics.means(), own.scores])
    loss, num_bad = collectives.all_reduce_together([own.loss, tf.cast(own_bad, own.loss.dtype)])
    precision = state.config.run.reduce_precision
    wire_dtype = None if precision == "float32" else tf.as_dtype(precision)
    gradients = state.loss_scale.unscaled(collectives.all_reduce_in_buckets(own.scaled, wire_dtype=wire_dtype))
    bad = tf.concat([num_bad > 0, _not_finite([loss, *gradients])], axis=0)
    return loss, gradients, tf.where(tf.reduce_any(bad), tf.argmax(bad, output_type=tf.int32), -1)


def watched(state: RunState) -> list[str]:
    """Returns the names of the tensors whose finiteness a step checks, in the order that `first_bad` counts."""
    return [
        *(variable.path for variable in state.model.non_trainable_variables),
        "the scores",
        "the loss",
        *(f"the gradient of {variable.path}" for variable in state.model.trainable_variables),
    ]


def _not_finite(tensors: list[tf.Tensor]) -> tf.Tensor:
    """Returns bool [len(tensors)]: whose sum of squares is not finite. LARS needs that sum too, so it costs nothing."""
    return ~tf.math.is_finite(tf.stack([tf.nn.l2_loss(tensor) for tensor in tensors]))
