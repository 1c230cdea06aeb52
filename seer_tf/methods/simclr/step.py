"""One step of SimCLR from the view of one replica, in the paper's order (algorithm 1).

Legend: B images on this replica, s x s pixels, D embedding dimensions.
"""

import tensorflow as tf

from seer_tf.data.pipelines.pretraining import Batch, distorted
from seer_tf.distributed import collectives
from seer_tf.methods.simclr.nt_xent import nt_xent
from seer_tf.methods.simclr.state import SimclrState
from seer_tf.models.embeddings import unit_norm
from seer_tf.training import view_metrics
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import Contribution, finish_step, reduce_contributions


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: SimclrState, batch: Batch) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none if a number is not finite.

    Args:
        state: State of the run. Its variables change. In a skipped step only the loss scale and the counters change.
        batch: A uint8 tensor [B, 2, s, s, 3] in a tuple, or `Crops` that are not yet distorted.

    Returns:
        Scalars by name, equal on every replica: those of `finish_step` and `view_metrics.of_contrast`.
    """
    config, optimizer, weights = state.config, state.optimizer, state.model.trainable_variables
    (crops,) = distorted(batch, config.crops)
    statistics = MovingStatistics(state.model)

    # Both views through one network, with batch norm over both; each view then finds the other one.
    with tf.GradientTape() as tape:
        images = tf.concat(tf.unstack(crops, axis=1), axis=0)  # [2B, s, s, 3], first views first
        embeddings = unit_norm(state.model(images, training=True))  # [2B, D]
        statistics.record()
        contrast = nt_xent(tf.reshape(embeddings, [2, -1, embeddings.shape[-1]]), temperature=config.simclr.temperature)
        share = contrast.loss / collectives.num_replicas()
        scaled = state.loss_scale.scaled(share)
    own = Contribution(share, tape.gradient(scaled, weights), embeddings)
    loss, gradients, first_bad = reduce_contributions(state, own, statistics)

    # LARS, then loss scale and counters.
    learning_rate, updates = optimizer.learning_rate, state.schedule.observed(optimizer.iterations, loss)
    optimizer.apply_reduced(gradients, weights, finite=first_bad < 0)
    common = finish_step(state, statistics, updates, loss=loss, first_bad=first_bad, learning_rate=learning_rate)
    one, other = contrast.views[0], contrast.views[1]
    return {**common, **view_metrics.of_contrast(one, other, contrast.accuracy, crops)}
