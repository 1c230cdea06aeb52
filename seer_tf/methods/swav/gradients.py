"""Forward pass, codes, swapped prediction and gradients for one replica's images, at once or in micro-batches.

Legend: V crops per image, B images on this replica, S micro-batches, K prototypes, D embedding dimensions, A assigning
crops.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.methods.swav.model import unflatten
from seer_tf.methods.swav.sinkhorn import sinkhorn
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.swapped_prediction import swapped_prediction
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import Contribution

Crops = tuple[tf.Tensor, ...]


@dataclasses.dataclass(frozen=True)
class Gradients(Contribution):
    """The contribution of one replica to a step of SwAV. Its scores are [V, B, K].

    Attributes:
        codes: Codes [A, B, K].
        embeddings: Embeddings of the assigning crops, [A, B, D].
    """

    codes: tf.Tensor
    embeddings: tf.Tensor


def at_once(state: TrainState, crops: Crops, statistics: MovingStatistics) -> Gradients:
    """Returns the gradients for all images on this replica, computed together.

    Args:
        state: State of the run. Only its moving statistics change.
        crops: One uint8 tensor [B, crops, side, side, 3] for each crop size.
        statistics: Records the moving statistics after the forward pass.
    """
    with tf.GradientTape() as tape:
        embeddings, scores = _forward(state, crops)
        statistics.record()
        assigning = state.config.swav.num_assigning_crops
        codes = _codes(state, scores[:assigning])
        loss = _share_of_loss(state, scores, codes, num_parts=1)
        scaled = state.loss_scale.scaled(loss)
    return Gradients(
        loss, tape.gradient(scaled, state.model.trainable_variables), scores, codes, embeddings[:assigning]
    )


def in_micro_batches(state: TrainState, crops: Crops, statistics: MovingStatistics) -> Gradients:
    """Returns the gradients for all images on this replica, with the memory that one micro-batch needs.

    The first pass computes the scores of all micro-batches, because a code depends on the whole batch. The second pass
    adds up the gradients. Every forward pass begins with the same moving statistics, so that a crop has the same score
    in both passes.

    Args:
        state: State of the run. The state does not change.
        crops: One uint8 tensor [B, crops, side, side, 3] for each crop size.
        statistics: Records the moving statistics after each forward pass in the second pass.
    """
    assigning, num_parts = state.config.swav.num_assigning_crops, state.config.run.accumulation_steps
    parts = list(zip(*(_dealt(group, num_parts, axis=0) for group in crops), strict=True))
    # All assigning crops have the first size. Crops of other sizes affect them only if batch norm sees all crops at
    # once: in the head, or in the backbone with padded crops.
    num_sizes = len(crops) if state.config.head.batch_norm or state.config.crops.padded else 1
    firsts: list[tuple[tf.Tensor, tf.Tensor]] = []
    for part in parts:
        embeddings, scores = _forward(state, _after(firsts[-1:], part[:num_sizes]))
        statistics.restore()
        firsts.append((embeddings[:assigning], scores[:assigning]))
    embeddings, scores = (_collected(each) for each in zip(*firsts, strict=True))
    codes = _codes(state, scores)

    weights, all_scores = state.model.trainable_variables, []
    loss, sums = tf.zeros([], codes.dtype), [tf.zeros_like(weight) for weight in weights]
    for part, codes_of_part in zip(parts, _dealt(codes, num_parts, axis=1), strict=True):
        with tf.GradientTape() as tape:
            _, scores = _forward(state, _after([codes, *sums], part))
            share = _share_of_loss(state, scores, codes_of_part, num_parts)
            scaled = state.loss_scale.scaled(share)
        statistics.record()
        statistics.restore()
        loss += share
        sums = [total + gradient for total, gradient in zip(sums, tape.gradient(scaled, weights), strict=True)]
        all_scores.append(scores)
    return Gradients(loss, sums, _collected(all_scores), codes, embeddings)


def _forward(state: TrainState, crops: Crops) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns embeddings [V, B, D] and scores [V, B, K] of these crops."""
    num_crops = sum(group.shape[1] for group in crops)
    embeddings, scores = state.model(crops, training=True)  # [V * B, D], [V * B, K]
    return unflatten(embeddings, num_crops), unflatten(scores, num_crops)


def _codes(state: TrainState, scores: tf.Tensor) -> tf.Tensor:
    """Returns the codes [A, B, K] for scores [A, B, K], together with the queue's scores if the queue is in use."""
    counted, num_images = None, scores.shape[1]
    if state.queue is not None:
        earlier = state.queue.scores(state.model.head.prototypes)  # [A, Q / R, K]
        in_use = tf.fill([earlier.shape[1]], state.queue.in_use(state.optimizer.iterations))
        counted = tf.concat([tf.fill([num_images], True), in_use], axis=0)  # [B + Q / R]
        scores = tf.concat([scores, earlier], axis=1)  # [A, B + Q / R, K]
    swav = state.config.swav
    codes = sinkhorn(scores, epsilon=swav.epsilon, num_iterations=swav.sinkhorn_iterations, counted=counted)
    return codes[:, :num_images]


def _share_of_loss(state: TrainState, scores: tf.Tensor, codes: tf.Tensor, num_parts: int) -> tf.Tensor:
    """Returns the contribution of these images to the mean loss over all parts on all replicas."""
    loss = swapped_prediction(scores, codes, temperature=state.config.swav.temperature)
    return loss / (num_parts * collectives.num_replicas())


def _dealt(rows: tf.Tensor, num_parts: int, axis: int) -> list[tf.Tensor]:
    """Deals out the images along an axis, one to each part in turn.

    So a part has the same images for any number of replicas, and batch norm has the same statistics.
    """
    shape = list(rows.shape)
    dealt = tf.reshape(rows, [*shape[:axis], shape[axis] // num_parts, num_parts, *shape[axis + 1 :]])
    return tf.unstack(dealt, axis=axis + 1)


def _collected(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Joins all parts [V, B / S, ...] to [V, B, ...], with the images in their original order."""
    num_crops, num_images, *rest = parts[0].shape
    return tf.reshape(tf.stack(parts, axis=2), [num_crops, num_images * len(parts), *rest])


def _after(results: Sequence[tf.Tensor], crops: Crops) -> Crops:
    """Returns the crops, but only after the results exist. Otherwise all parts would be in memory together."""
    with tf.control_dependencies(tf.nest.flatten(results)):
        return tuple(tf.identity(group) for group in crops)
