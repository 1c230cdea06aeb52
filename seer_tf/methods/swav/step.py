"""One step of SwAV from the view of one replica, in the released code's order (main_swav.py, standard_train_step.py).

Legend: B images on this replica.
"""

import tensorflow as tf

from seer_tf.data.pipelines.pretraining import Batch, distorted
from seer_tf.methods.swav import metrics
from seer_tf.methods.swav.gradients import at_once, in_micro_batches
from seer_tf.methods.swav.state import TrainState
from seer_tf.models.embeddings import unit_norm
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import finish_step, reduce_contributions


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: TrainState, batch: Batch) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none if a number is not finite.

    Args:
        state: State of the run. Its variables change. In a skipped step only the loss scale and the counters change.
        batch: One uint8 tensor [B, crops, side, side, 3] for each crop size, or `Crops` that are not yet distorted.

    Returns:
        Scalars by name, equal on every replica: those of `finish_step`, `metrics.of_step` and `metrics.of_update`.
        `first_bad` is the index in `checked_tensors(state)` of the first tensor that is not finite, or -1 if all
        tensors are finite.
    """
    config, optimizer = state.config, state.optimizer
    crops = distorted(batch, config.crops)
    weights, prototypes = state.model.trainable_variables, state.model.head.prototypes
    trained = {variable.path for variable in weights}
    statistics = MovingStatistics(state.model)

    # Forward, codes, swapped prediction, gradients.
    own = (at_once if config.run.accumulation_steps == 1 else in_micro_batches)(state, crops, statistics)
    loss, gradients, first_bad = reduce_contributions(state, own, statistics)
    frozen = frozen_variables(state)
    learning_rate = optimizer.learning_rate
    measured = metrics.of_step(config, own, crops)
    updates = [*state.schedule.observed(optimizer.iterations, loss)]
    if state.queue is not None:
        updates += state.queue.pushed(own.embeddings)

    # LARS, except for frozen variables; unit norm of the prototypes; then queue, loss scale and counters.
    applied = optimizer.apply_reduced(
        gradients,
        weights,
        finite=first_bad < 0,
        frozen={path: now for path, now in frozen.items() if path in trained},
        constraints={prototypes.path: unit_norm},
    )
    common = finish_step(
        state, statistics, updates, loss=loss, first_bad=first_bad, learning_rate=learning_rate, frozen=frozen
    )
    return {**common, **measured, **metrics.of_update(state, learning_rate, applied)}


def frozen_variables(state: TrainState) -> dict[str, tf.Tensor]:
    """Returns, by path, for each variable that is frozen in the first steps a bool scalar: whether it is frozen now.

    These are the prototypes, and the whole backbone with its moving statistics while only the head is trained.
    """
    config, iterations = state.config, state.optimizer.iterations
    frozen = {state.model.head.prototypes.path: iterations < config.swav.freeze_prototypes_steps}
    if config.schedule.head_only_steps:
        head_only = iterations < config.schedule.head_only_steps
        frozen |= {variable.path: head_only for variable in state.model.backbone.variables}
    return frozen
