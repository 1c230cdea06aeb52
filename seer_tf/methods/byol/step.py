"""One step of BYOL from the view of one replica, in the paper's order (algorithm 1).

Legend: B images on this replica, s x s pixels, D embedding dimensions.
"""

import tensorflow as tf

from seer_tf.data.pipelines.pretraining import Batch, distorted
from seer_tf.distributed import collectives
from seer_tf.methods.byol import metrics
from seer_tf.methods.byol.regression import regression, target_momentum
from seer_tf.methods.byol.state import ByolState
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import Contribution, finish_step, reduce_contributions


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: ByolState, batch: Batch) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none if a number is not finite.

    Args:
        state: State of the run. Its variables change. In a skipped step only the loss scale and the counters change.
        batch: A uint8 tensor [B, 2, s, s, 3] in a tuple, or `Crops` that are not yet distorted.

    Returns:
        Scalars by name, equal on every replica: those of `finish_step` and `metrics.of_step`.
    """
    config, optimizer, weights = state.config, state.optimizer, state.model.trainable_variables
    (crops,) = distorted(batch, config.crops)
    views = tf.unstack(crops, axis=1)  # two of [B, s, s, 3]; batch norm sees one at a time, as in the released code
    statistics = MovingStatistics(*state.networks)

    # The target network embeds both views. From each view the online network predicts the other one's embedding.
    targets = tf.stack([state.target.embed(view) for view in views])  # [2, B, D]
    with tf.GradientTape() as tape:
        predictions = tf.stack([state.model(view, training=True) for view in views])  # [2, B, D]
        share = regression(predictions, targets) / collectives.num_replicas()
        scaled = state.loss_scale.scaled(share)
    statistics.record()
    own = Contribution(share, tape.gradient(scaled, weights), predictions)
    loss, gradients, first_bad = reduce_contributions(state, own, statistics)

    # LARS; then the target network follows the new weights; then loss scale and counters.
    momentum = target_momentum(optimizer.iterations, start=config.byol.momentum, num_steps=config.run.num_steps)
    learning_rate, updates = optimizer.learning_rate, state.schedule.observed(optimizer.iterations, loss)
    optimizer.apply_reduced(gradients, weights, finite=first_bad < 0)
    updates = [*updates, *state.target.followed(momentum)]
    common = finish_step(state, statistics, updates, loss=loss, first_bad=first_bad, learning_rate=learning_rate)
    return {**common, **metrics.of_step(targets, momentum, crops)}
