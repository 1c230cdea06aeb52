"""Is it learning? The numbers of a step, and of the interval between two lines of the log, in named groups.

Legend: V crops of an image, A of which assign codes, B images of this replica, K prototypes, n trained variables.
"""

import math
import resource
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from seer_tf import distribution
from seer_tf.config import Config
from seer_tf.optimizers.lars import Applied, norms
from seer_tf.swav import diagnostics
from seer_tf.train.gradients import Crops, Gradients
from seer_tf.train.state import TrainState

PARTS = ("backbone", "head", "prototypes")
QUANTILES = {"min": 0.0, "lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75, "max": 1.0}

LOSS = "loss/loss"
RELATIVE_LOSS = "loss/relative_to_ln_K"
PREDICTION_ENTROPY = "prototypes/entropy_of_predictions"
LARGEST_SHARE = "prototypes/largest_share"
LOSS_SCALE = "arithmetic/loss_scale"
SKIPPED_STEPS = "arithmetic/skipped_steps"
DISTINCT_BATCHES = "data/distinct_batches"
MEAN_PIXEL = "data/mean_pixel"
IMAGES_PER_SECOND = "speed/images_per_second"
WAIT_SHARE = "speed/share_of_time_waiting_for_data"
SECONDS_PER_STEP = "speed/seconds_per_step"


def of_step(config: Config, own: Gradients, crops: Crops) -> dict[str, tf.Tensor]:
    """Returns what one step tells of the prototypes and the data.

    It looks at what the step has computed anyway. One SUM over the replicas serves all of it.

    Args:
        config: of the run.
        own: this replica's scores and codes.
        crops: one uint8 tensor [B, crops, side, side, 3] for each crop size.

    Returns:
        Float32 scalars by the names that they have in the log, equal on every replica.
    """
    num_prototypes = own.codes.shape[-1]
    ln_k = max(math.log(num_prototypes), np.finfo(np.float32).tiny)
    local = {
        "prototypes/entropy_of_codes": diagnostics.entropy(own.codes) / ln_k,
        PREDICTION_ENTROPY: diagnostics.prediction_entropy(own.scores, temperature=config.swav.temperature) / ln_k,
        "prototypes/agreement_of_views": diagnostics.view_agreement(own.scores),
        MEAN_PIXEL: tf.reduce_mean(tf.cast(crops[0][:, 0], tf.float32)),
    }
    means, by_codes, by_scores = distribution.all_reduce_together(
        [
            tf.stack([tf.cast(value, tf.float32) for value in local.values()]) / distribution.num_replicas(),
            diagnostics.first_choices(own.codes),
            diagnostics.first_choices(own.scores),
        ]
    )
    return dict(zip(local, tf.unstack(means), strict=True)) | {
        "prototypes/share_in_use": tf.reduce_mean(tf.cast(by_codes > 0, tf.float32)),
        LARGEST_SHARE: tf.reduce_max(by_scores) / tf.reduce_sum(by_scores),
    }


def of_update(state: TrainState, learning_rate: tf.Tensor, applied: Applied) -> dict[str, tf.Tensor]:
    """Returns what the update tells that was just made, float32 scalars by the names that they have in the log.

    Args:
        state: of the run, after the update.
        learning_rate: of that update.
        applied: what LARS says of it.
    """
    velocities = [state.optimizer.velocity(variable).value for variable in state.model.trainable_variables]
    updates = learning_rate * _of_parts(state, norms(velocities))  # [4]
    weights = _of_parts(state, applied.variable_norms)  # [4]
    ratios = tf.sort(tf.cast(applied.trust_ratios, tf.float32))  # [n]
    places = {name: round(quantile * (ratios.shape[0] - 1)) for name, quantile in QUANTILES.items()}
    return {
        **_named("gradients/norm", _of_parts(state, applied.gradient_norms)),
        **_named("updates/norm", updates),
        **_named("updates/relative_to_weights", updates / tf.maximum(weights, np.finfo(np.float32).tiny)),
        **{f"trust_ratio/{name}": ratios[place] for name, place in places.items()},
    }


def of_interval(steps: Mapping[str, np.ndarray], seconds: float, config: Config) -> dict[str, float]:
    """Returns the numbers of an interval of pretraining: those of any interval, and the loss beside ln K.

    Args:
        steps: float [steps] each, what the steps returned, by name.
        seconds: how long they took together, logging included.
        config: of the run.
    """
    numbers, ln_k = of_any_interval(steps, seconds, config.data.global_batch_size), math.log(config.head.num_prototypes)
    return numbers | {RELATIVE_LOSS: numbers[LOSS] / ln_k if ln_k else math.nan}


def of_any_interval(steps: Mapping[str, np.ndarray], seconds: float, global_batch_size: int) -> dict[str, float]:
    """Returns the numbers of an interval of any kind of run, by the names that they have in the log.

    Args:
        steps: float [steps] each, what the steps returned, by name.
        seconds: how long they took together, logging included.
        global_batch_size: images in a step.

    Returns:
        Means over the steps that were made, and what is counted or timed over all of them.
    """
    made, num_steps = steps["first_bad"] < 0, len(steps["first_bad"])
    numbers = {name: _mean(values[made]) for name, values in steps.items() if "/" in name and name != MEAN_PIXEL}
    return numbers | {
        LOSS: _mean(steps["loss"][made]),
        "optimization/learning_rate": float(steps["learning_rate"][-1]),
        LOSS_SCALE: float(steps["loss_scale"][-1]),
        SKIPPED_STEPS: float(np.sum(~made)),
        DISTINCT_BATCHES: float(len(np.unique(steps[MEAN_PIXEL]))),
        IMAGES_PER_SECOND: num_steps * global_batch_size / seconds,
        WAIT_SHARE: float(np.sum(steps["seconds_waiting"])) / seconds,
        SECONDS_PER_STEP: seconds / num_steps,
        **_memory(),
    }


def first_bad(steps: Mapping[str, np.ndarray], first_step: int, names: Sequence[str]) -> tuple[int, str] | None:
    """Returns the first step that met a number which is not finite, and in which tensor; None where none did.

    Args:
        steps: float [steps] each, what the steps returned, by name.
        first_step: number of the first of them.
        names: of the tensors, in the order that `first_bad` counts.
    """
    bad = np.flatnonzero(steps["first_bad"] >= 0)
    return (first_step + int(bad[0]), names[int(steps["first_bad"][bad[0]])]) if bad.size else None


def _of_parts(state: TrainState, of_each: tf.Tensor) -> tf.Tensor:
    """Returns the norm of all trained variables and of those of each part, float32 [4], from that of each, [n]."""
    head, prototypes = state.model.head.trainable_variables, state.model.head.prototypes
    in_head = [any(variable is other for other in head) for variable in state.model.trainable_variables]
    is_prototypes = [variable is prototypes for variable in state.model.trainable_variables]
    of_head = np.logical_xor(in_head, is_prototypes)
    belongs = np.array([np.ones_like(in_head), np.logical_not(in_head), of_head, is_prototypes], np.float32)  # [4, n]
    return tf.sqrt(tf.linalg.matvec(belongs, tf.square(tf.cast(of_each, tf.float32))))


def _named(name: str, values: tf.Tensor) -> dict[str, tf.Tensor]:
    return dict(zip((name, *(f"{name}_{part}" for part in PARTS)), tf.unstack(values), strict=True))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _memory() -> dict[str, float]:
    """Returns the largest amount of memory that the process, and each GPU, has held so far."""
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"memory/host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 2**30}
    for index, _ in enumerate(tf.config.list_logical_devices("GPU")):
        peak = tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"]
        peaks[f"memory/gpu{index}_peak_gib"] = peak / 2**30
    return peaks
