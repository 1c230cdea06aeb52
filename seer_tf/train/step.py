"""One step of SwAV as one replica sees it, in the order of the released code (main_swav.py, standard_train_step.py).

K prototypes, B images of this replica.
"""

import tensorflow as tf

from seer_tf import distribution
from seer_tf.data.pretraining import Batch, distorted
from seer_tf.models.swav_head import unit_norm
from seer_tf.train import measurements
from seer_tf.train.gradients import Contribution, at_once, in_micro_batches
from seer_tf.train.moving_statistics import MovingStatistics
from seer_tf.train.state import RunState, TrainState


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: TrainState, batch: Batch) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none where a number is not finite.

    Args:
        state: of the run; its variables change. In a step that is left out only the loss scale and the counters do.
        batch: one uint8 tensor [B, crops, side, side, 3] for each crop size, or `Crops` that are still to be distorted.

    Returns:
        Scalars by name, equal on every replica: those of `measurements`, and others. `first_bad` is the index in
        `watched(state)` of the first tensor that is not finite, -1 where all are.
    """
    config, optimizer = state.config, state.optimizer
    crops = distorted(batch, config.crops)
    weights, prototypes = state.model.trainable_variables, state.model.head.prototypes
    trained = {variable.path for variable in weights}
    statistics = MovingStatistics(state.model)

    # Forward, codes, swapped prediction, gradients.
    own = (at_once if config.run.accumulation_steps == 1 else in_micro_batches)(state, crops, statistics)
    loss, gradients, first_bad = reduced(state, own, statistics)
    finite = first_bad < 0
    frozen = frozen_variables(state)
    learning_rate = optimizer.learning_rate
    measured = measurements.of_step(config, own, crops)
    updates = [*state.schedule.observed(optimizer.iterations, loss)]
    if state.queue is not None:
        updates += state.queue.pushed(own.embeddings)

    # What is frozen stays; LARS; prototypes of unit norm; then queue, loss scale and counters.
    applied = optimizer.apply_reduced(
        gradients,
        weights,
        finite=finite,
        frozen={path: now for path, now in frozen.items() if path in trained},
        constraints={prototypes.path: unit_norm},
    )
    statistics.settle(finite, frozen)
    updates = [(variable, tf.where(finite, new, variable)) for variable, new in updates]
    distribution.assign([*updates, *state.loss_scale.updates(finite), *state.skipped.updates(finite)])
    return {
        "loss": loss,
        "first_bad": first_bad,
        "skipped_in_a_row": tf.identity(state.skipped.in_a_row),
        "loss_scale": tf.identity(state.loss_scale.value),
        "learning_rate": learning_rate,
        **measured,
        **measurements.of_update(state, learning_rate, applied),
    }


def frozen_variables(state: TrainState) -> dict[str, tf.Tensor]:
    """Returns by path the variables that stay in the first steps, each with a bool scalar: whether it does so now.

    They are the prototypes, and the whole backbone with its moving statistics while only the head warms up.
    """
    config, iterations = state.config, state.optimizer.iterations
    frozen = {state.model.head.prototypes.path: iterations < config.swav.freeze_prototypes_steps}
    if config.schedule.head_only_steps:
        head_only = iterations < config.schedule.head_only_steps
        frozen |= {variable.path: head_only for variable in state.model.backbone.variables}
    return frozen


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
    loss, num_bad = distribution.all_reduce_together([own.loss, tf.cast(own_bad, own.loss.dtype)])
    precision = state.config.run.reduce_precision
    wire_dtype = None if precision == "float32" else tf.as_dtype(precision)
    gradients = state.loss_scale.unscaled(distribution.all_reduce_in_buckets(own.scaled, wire_dtype=wire_dtype))
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
