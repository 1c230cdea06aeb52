"""One step of fine-tuning from the view of one replica: cross-entropy, gradients, SGD.

Legend: B images on this replica, L classes, S micro-batches.
"""

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.finetuning.state import ClassifierState
from seer_tf.precision import at_least_float32
from seer_tf.training.metrics import MEAN_PIXEL
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import Contribution, finish_step, reduce_contributions

ACCURACY = "accuracy/of_training_batches"


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor
def classifier_step(state: ClassifierState, batch: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none if a number is not finite.

    Args:
        state: State of the run. Its variables change. In a skipped step only the loss scale and the counters change.
        batch: Images, uint8 [B, side, side, 3], and labels, int64 [B].

    Returns:
        Scalars by name, equal on every replica. `first_bad` is the same as in SwAV's `train_step`.
    """
    images, labels = batch
    statistics, optimizer, learning_rate = MovingStatistics(state.model), state.optimizer, state.optimizer.learning_rate
    own = _contribution(state, *_images_and_targets(state, images, labels), statistics)
    loss, gradients, first_bad = reduce_contributions(state, own, statistics)
    right = tf.reduce_mean(tf.cast(tf.argmax(own.scores, axis=-1) == labels, tf.float32))
    accuracy, mean_pixel = collectives.all_reduce_together(
        [value / collectives.num_replicas() for value in (right, tf.reduce_mean(tf.cast(images, tf.float32)))]
    )
    optimizer.apply_reduced(gradients, finite=first_bad < 0)
    return {
        **finish_step(state, statistics, loss=loss, first_bad=first_bad, learning_rate=learning_rate),
        ACCURACY: accuracy,
        MEAN_PIXEL: mean_pixel,
        "training/gradients/norm": tf.linalg.global_norm(gradients),
    }


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the mean over the images of -sum(targets * log softmax(logits)), a scalar.

    Args:
        logits: Logits [B, L].
        targets: Targets [B, L]. Each row sums to one.
    """
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


def smoothed(labels: tf.Tensor, num_classes: int, smoothing: float, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Returns targets [B, L]: 1 - smoothing for the class, plus smoothing / L for every class (Szegedy et al.).

    Args:
        labels: Labels, int64 [B].
        num_classes: L.
        smoothing: Smoothing from 0 to 1.
        dtype: Dtype of the result.
    """
    return (1.0 - smoothing) * tf.one_hot(labels, num_classes, dtype=dtype) + smoothing / num_classes


def _images_and_targets(state: ClassifierState, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns images [B, side, side, 3] and targets [B, L], mixed if the config says so.

    Images are mixed within a replica, with a seed from run, step and replica.
    """
    mixing, run = state.config.mixing, state.config.run
    dtype = at_least_float32(run.precision)
    targets = smoothed(labels, len(state.model.class_names), mixing.label_smoothing, dtype)
    seed = tf.stack([tf.cast(run.seed, tf.int64), tf.identity(state.step)])
    seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(collectives.replica_id(), tf.int64))
    return state.mixing(images, targets, seed)


def _contribution(
    state: ClassifierState, images: tf.Tensor, targets: tf.Tensor, statistics: MovingStatistics
) -> Contribution:
    """Returns this replica's part of loss and gradients, from all images at once or one micro-batch after another.

    Images are dealt out to the micro-batches in turn. Each micro-batch begins with the same moving statistics.
    """
    num_parts, weights = state.config.run.accumulation_steps, state.model.trainable_variables
    loss, sums, logits = tf.zeros([], targets.dtype), list[tf.Tensor](), []
    for part in range(num_parts):
        with tf.control_dependencies(sums), tf.GradientTape() as tape:  # otherwise all parts are in memory together
            scores = state.model(tf.identity(images[part::num_parts]), training=True)  # [B / S, L]
            share = cross_entropy(scores, targets[part::num_parts]) / (num_parts * collectives.num_replicas())
            scaled = state.loss_scale.scaled(share)
        statistics.record()
        if num_parts > 1:
            statistics.restore()
        gradients = tape.gradient(scaled, weights)
        sums = [one + other for one, other in zip(sums, gradients, strict=True)] if sums else gradients
        loss += share
        logits.append(scores)
    in_turn = tf.stack(logits, axis=1)  # [B / S, S, L]
    return Contribution(loss, sums, tf.reshape(in_turn, [-1, in_turn.shape[-1]]))
