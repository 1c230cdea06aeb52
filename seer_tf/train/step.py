"""One step of SwAV as one replica sees it, in the order of the released code (main_swav.py, standard_train_step.py).

V crops of an image, B images of this replica, K prototypes, D embedding dimensions, A assigning crops.
"""

import tensorflow as tf

from seer_tf import distribution
from seer_tf.models.swav_model import unflatten
from seer_tf.swav import diagnostics
from seer_tf.swav.sinkhorn import sinkhorn
from seer_tf.swav.swapped_prediction import swapped_prediction
from seer_tf.train.state import TrainState


@tf.autograph.experimental.do_not_convert  # nothing here branches on a tensor, and converting doubles the tracing
def train_step(state: TrainState, crops: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
    """Makes one update of the state, or none where a number is not finite.

    Args:
        state: of the run; its variables change.
        crops: one uint8 tensor [B, crops, side, side, 3] for each crop size.

    Returns:
        Scalars by name, equal on every replica. `first_bad` is the index in `watched(state)` of the first tensor
        that is not finite, -1 where all are; then every variable is as it was.
    """
    config, model, optimizer = state.config, state.model, state.optimizer
    weights, learning_rate = model.trainable_variables, optimizer.learning_rate
    prototypes = model.head.prototypes
    before = {v.path: tf.identity(v) for v in (*model.non_trainable_variables, prototypes)}
    with tf.GradientTape() as tape:
        _, scores = model(crops, training=True)  # [V * B, K]
        scores = unflatten(scores, sum(config.crops.num))  # [V, B, K]
        codes = sinkhorn(
            scores[: config.swav.num_assigning_crops],
            epsilon=config.swav.epsilon,
            num_iterations=config.swav.sinkhorn_iterations,
        )  # [A, B, K]
        loss = swapped_prediction(scores, codes, temperature=config.swav.temperature)
        loss /= distribution.num_replicas()
    gradients = tape.gradient(loss, weights)
    loss, *gradients = distribution.all_reduce_together([loss, *gradients])
    first_bad = _first_not_finite([loss, *gradients])
    finite = first_bad < 0
    frozen = optimizer.iterations < config.swav.freeze_prototypes_steps
    optimizer.apply_reduced(gradients, weights, finite=finite, frozen={prototypes.path: frozen})
    model.head.normalize_prototypes()
    prototypes.assign(tf.where(frozen, before[prototypes.path], prototypes))
    for variable in (*model.non_trainable_variables, prototypes):
        variable.assign(tf.where(finite, variable, before[variable.path]))
    return {
        "loss": loss,
        "first_bad": first_bad,
        "learning_rate": learning_rate,
        "gradient_norm": tf.linalg.global_norm(gradients),
        "velocity_norm": tf.linalg.global_norm([optimizer.velocity(variable).value for variable in weights]),
        "prototype_usage": diagnostics.prototype_usage(codes),
    }


def watched(state: TrainState) -> list[str]:
    """Returns the names of the tensors whose finiteness a step checks, in the order that `first_bad` counts."""
    return ["the loss", *(f"the gradient of {variable.path}" for variable in state.model.trainable_variables)]


def _first_not_finite(tensors: list[tf.Tensor]) -> tf.Tensor:
    bad = tf.stack([tf.reduce_any(~tf.math.is_finite(tensor)) for tensor in tensors])
    return tf.where(tf.reduce_any(bad), tf.argmax(bad, output_type=tf.int32), -1)
