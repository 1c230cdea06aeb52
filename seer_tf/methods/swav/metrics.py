"""Numbers that show whether a run learns, for a step and for the interval between two lines of the log.

Legend: V crops per image, A of which assign codes, B images on this replica, K prototypes, n trained variables.
"""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.distributed import collectives
from seer_tf.methods.swav import diagnostics
from seer_tf.methods.swav.gradients import Crops, Gradients
from seer_tf.methods.swav.state import TrainState
from seer_tf.optimizers.lars import Applied, norms
from seer_tf.training.metrics import LOSS, MEAN_PIXEL, interval_metrics

PARTS = ("backbone", "head", "prototypes")
QUANTILES = {"min": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "max": 1.0}

RELATIVE_LOSS = "loss/relative_to_ln_K"
PREDICTION_ENTROPY = "prototypes/entropy_of_predictions"
LARGEST_SHARE = "prototypes/largest_share"
ENTROPY_OF_CODES = "prototypes/entropy_of_codes"
AGREEMENT = "prototypes/agreement_of_views"
SHARE_IN_USE = "prototypes/share_in_use"
#: Fractions of a whole, from 0 to 1.
SHARES = frozenset({PREDICTION_ENTROPY, LARGEST_SHARE, ENTROPY_OF_CODES, AGREEMENT, SHARE_IN_USE})


def of_step(config: Config, own: Gradients, crops: Crops) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step about the prototypes and the data.

    They follow from tensors that the step computes anyway. One SUM over the replicas serves all numbers.

    Args:
        config: Run configuration.
        own: Scores and codes of this replica.
        crops: One uint8 tensor [B, crops, side, side, 3] for each crop size.

    Returns:
        Float32 scalars by their names in the log, equal on every replica.
    """
    num_prototypes = own.codes.shape[-1]
    ln_k = max(math.log(num_prototypes), np.finfo(np.float32).tiny)
    local = {
        ENTROPY_OF_CODES: diagnostics.entropy(own.codes) / ln_k,
        PREDICTION_ENTROPY: diagnostics.prediction_entropy(own.scores, temperature=config.swav.temperature) / ln_k,
        AGREEMENT: diagnostics.view_agreement(own.scores),
        MEAN_PIXEL: tf.reduce_mean(tf.cast(crops[0][:, 0], tf.float32)),
    }
    means, by_codes, by_scores = collectives.all_reduce_together(
        [
            tf.stack([tf.cast(value, tf.float32) for value in local.values()]) / collectives.num_replicas(),
            diagnostics.first_choices(own.codes),
            diagnostics.first_choices(own.scores),
        ]
    )
    return dict(zip(local, tf.unstack(means), strict=True)) | {
        SHARE_IN_USE: tf.reduce_mean(tf.cast(by_codes > 0, tf.float32)),
        LARGEST_SHARE: tf.reduce_max(by_scores) / tf.reduce_sum(by_scores),
    }


def of_update(state: TrainState, learning_rate: tf.Tensor, applied: Applied) -> dict[str, tf.Tensor]:
    """Returns the numbers of the latest update, float32 scalars by their names in the log.

    Args:
        state: State of the run after the update.
        learning_rate: Learning rate of the update.
        applied: Result of LARS for the update.
    """
    velocities = [state.optimizer.velocity(variable).value for variable in state.model.trainable_variables]
    updates = learning_rate * _of_parts(state, norms(velocities))  # [4]
    weights = _of_parts(state, applied.variable_norms)  # [4]
    ratios = tf.sort(tf.cast(applied.trust_ratios, tf.float32))  # [n]
    places = {name: round(quantile * (ratios.shape[0] - 1)) for name, quantile in QUANTILES.items()}
    return {
        **_named("training/gradients/norm", _of_parts(state, applied.gradient_norms)),
        **_named("training/updates/norm", updates),
        **_named("training/updates/relative_to_weights", updates / tf.maximum(weights, np.finfo(np.float32).tiny)),
        **{f"training/trust_ratio/{name}": ratios[place] for name, place in places.items()},
    }


def of_interval(steps: Mapping[str, np.ndarray], seconds: float, config: Config) -> dict[str, float]:
    """Returns the numbers of an interval of pretraining: those of any interval, and the ratio of the loss to ln K.

    Args:
        steps: Numbers that the steps returned, float [steps] each, by name.
        seconds: Duration of the interval, including logging.
        config: Run configuration.
    """
    numbers, ln_k = (
        interval_metrics(steps, seconds, config.data.global_batch_size),
        math.log(config.head.num_prototypes),
    )
    return numbers | {RELATIVE_LOSS: numbers[LOSS] / ln_k if ln_k else math.nan}


def _of_parts(state: TrainState, of_each: tf.Tensor) -> tf.Tensor:
    """Combines the norms of single variables, [n], to the norm of all variables and of each part, float32 [4]."""
    head, prototypes = state.model.head.trainable_variables, state.model.head.prototypes
    in_head = [any(variable is other for other in head) for variable in state.model.trainable_variables]
    is_prototypes = [variable is prototypes for variable in state.model.trainable_variables]
    of_head = np.logical_xor(in_head, is_prototypes)
    belongs = np.array([np.ones_like(in_head), np.logical_not(in_head), of_head, is_prototypes], np.float32)  # [4, n]
    return tf.sqrt(tf.linalg.matvec(belongs, tf.square(tf.cast(of_each, tf.float32))))


def _named(name: str, values: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(zip((name, *(f"{name}_{part}" for part in PARTS)), tf.unstack(values), strict=True))
