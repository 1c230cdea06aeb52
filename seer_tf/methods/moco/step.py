"""One step of MoCo from the view of one replica, in the paper's order (algorithm 1).

The paper shuffles the keys' images over the devices, because batch norm over the images of one device would show which
query and which key belong together. Here batch norm is over the images of all replicas, which shows nothing.

Legend: B images on this replica, N images on all replicas, s x s pixels, D embedding dimensions.
"""

import tensorflow as tf

from seer_tf.data.pipelines.pretraining import Batch, distorted
from seer_tf.distributed import collectives
from seer_tf.methods.moco.info_nce import info_nce
from seer_tf.methods.moco.state import MocoState
from seer_tf.models.embeddings import unit_norm
from seer_tf.training import view_metrics
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import Contribution, finish_step, reduce_contributions


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: MocoState, batch: Batch) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none if a number is not finite.

    Args:
        state: State of the run. Its variables change. In a skipped step only the loss scale and the counters change.
        batch: A uint8 tensor [B, 2, s, s, 3] in a tuple, or `Crops` that are not yet distorted.

    Returns:
        Scalars by name, equal on every replica: those of `finish_step` and `view_metrics.of_contrast`.
    """
    config, optimizer, weights = state.config, state.optimizer, state.model.trainable_variables
    (crops,) = distorted(batch, config.crops)
    one, other = tf.unstack(crops, axis=1)  # [B, s, s, 3] each
    statistics = MovingStatistics(*state.networks)

    # Keys of the other view; queries, which find their keys among those of earlier steps.
    keys = unit_norm(state.key_encoder.embed(other))  # [B, D]
    with tf.GradientTape() as tape:
        queries = unit_norm(state.model(one, training=True))  # [B, D]
        contrast = info_nce(queries, keys, state.queue.keys, temperature=config.moco.temperature)
        share = contrast.loss / collectives.num_replicas()
        scaled = state.loss_scale.scaled(share)
    statistics.record()
    own = Contribution(share, tape.gradient(scaled, weights), queries)
    loss, gradients, first_bad = reduce_contributions(state, own, statistics)

    # SGD; then the key encoder follows the new weights, the keys join the queue; then loss scale and counters.
    learning_rate, updates = optimizer.learning_rate, state.schedule.observed(optimizer.iterations, loss)
    optimizer.apply_reduced(gradients, finite=first_bad < 0)
    all_keys = collectives.all_gather(keys, axis=0)  # [N, D], in the order of the global batch
    followed = state.key_encoder.followed(tf.constant(config.moco.momentum, tf.float64))
    updates = [*updates, *followed, *state.queue.pushed(all_keys)]
    common = finish_step(state, statistics, updates, loss=loss, first_bad=first_bad, learning_rate=learning_rate)
    all_queries = collectives.all_gather(queries, axis=0)
    return {**common, **view_metrics.of_contrast(all_queries, all_keys, contrast.accuracy, crops)}
