"""Numbers and health checks of methods that compare two views of an image.

The thresholds are far from the numbers of healthy runs. A collapse counts only if it lasts for a tenth of the run and
at least 200 steps, after the warm-up.

Legend: N images on all replicas, B images on this replica, D embedding dimensions.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.models import embeddings
from seer_tf.quantities import percent
from seer_tf.training.health import (
    GO_BACK,
    HealthCheck,
    Interval,
    Problem,
    frozen_data,
    halved_learning_rate,
    latest_intervals,
    not_finite,
    overflows,
    rank_one,
    waits_for_images,
)
from seer_tf.training.metrics import LOSS, MEAN_PIXEL

ALIGNMENT = "views/alignment"
UNIFORMITY = "views/uniformity"
ACCURACY = "views/accuracy_among_negatives"
SPREAD = "views/std_times_sqrt_dims"
#: Fractions of a whole, from 0 to 1.
SHARES = frozenset({ACCURACY})

_NEAR_CHANCE = 0.02
_ALIKE = -0.05
_LEAST_SPREAD = 0.05


def of_contrast(one: tf.Tensor, other: tf.Tensor, accuracy: tf.Tensor, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step of a contrastive method, float32 scalars by their names in the log.

    Args:
        one: Embeddings of one view of all images [N, D], of unit norm, the same on every replica.
        other: Embeddings of the other view, likewise.
        accuracy: Fraction of this replica's views that find the other view of their image, a float32 scalar.
        crops: Views of this replica's images, uint8 [B, 2, s, s, 3].
    """
    local = tf.stack([accuracy, tf.reduce_mean(tf.cast(crops, tf.float32))])
    accuracy, mean_pixel = tf.unstack(collectives.all_reduce(local / collectives.num_replicas()))
    return {
        ALIGNMENT: tf.cast(embeddings.alignment(one, other), tf.float32),
        UNIFORMITY: tf.cast(embeddings.uniformity(one), tf.float32),
        ACCURACY: accuracy,
        MEAN_PIXEL: mean_pixel,
    }


def of_embeddings(views: tf.Tensor, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the numbers of one step of a method without negatives, float32 scalars by their names in the log.

    The spread is the standard deviation of embeddings of unit norm over all images and views, times the root of D: 0 if
    all embeddings are alike, and 1 if they point in all directions equally.

    Args:
        views: Embeddings of this replica's views [2, B, D], of any norm.
        crops: Views of this replica's images, uint8 [B, 2, s, s, 3].
    """
    rows = tf.cast(tf.reshape(embeddings.unit_norm(views), [-1, views.shape[-1]]), tf.float32)  # [2B, D]
    pixels = tf.reduce_mean(tf.cast(crops, tf.float32))
    local = [tf.reduce_mean(rows, axis=0), tf.reduce_mean(tf.square(rows), axis=0), pixels]
    means, squares, mean_pixel = collectives.all_reduce_together([part / collectives.num_replicas() for part in local])
    deviations = tf.sqrt(tf.maximum(squares - tf.square(means), 0))  # [D]
    return {SPREAD: tf.reduce_mean(deviations) * math.sqrt(views.shape[-1]), MEAN_PIXEL: mean_pixel}


def checks(*own: HealthCheck, remedy: str) -> tuple[HealthCheck, ...]:
    """Returns all checks of a method, including the common ones, in the order in which problems are reported.

    Args:
        *own: Checks of the method.
        remedy: What to change if numbers are not finite.
    """
    first = functools.partial(not_finite, remedy=remedy)
    return (first, overflows, frozen_data, *own, features_of_rank_one, waits_for_images)


def at_chance(config: Any, seen: Sequence[Interval], *, num_candidates: Callable[[Any], int]) -> Problem | None:
    """Checks that the loss leaves the loss of a network that cannot tell candidates apart.

    Args:
        config: Run configuration.
        seen: Intervals of the log.
        num_candidates: Takes the config; returns the number of embeddings among which the other view is sought.
    """
    chance = math.log(num_candidates(config))
    losses = [interval.numbers[LOSS] for interval in _settled(config, seen)]
    if not losses or max(abs(loss / chance - 1) for loss in losses) > _NEAR_CHANCE:
        return None
    return Problem(
        "the loss stays at chance",
        f"it is {losses[-1]:.3f}, and ln {num_candidates(config)} is {chance:.3f}; the nearest embedding is the right "
        f"one for {percent(seen[-1].numbers[ACCURACY], 1)} of the views",
        "try weaker colour jitter (crops.brightness, contrast, saturation, hue), larger crops.min_area_fractions or a "
        "lower schedule.peak_learning_rate",
        halved_learning_rate(config),
    )


def alike(config: Any, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the embeddings of different images differ."""
    values = [interval.numbers[UNIFORMITY] for interval in _settled(config, seen)]
    if not values or min(values) < _ALIKE:
        return None
    return _all_alike(config, f"uniformity is {values[-1]:.3f}, and 0 means that all are equal")


def without_spread(config: Any, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the embeddings of a method without negatives differ."""
    values = [interval.numbers[SPREAD] for interval in _settled(config, seen)]
    if not values or max(values) > _LEAST_SPREAD:
        return None
    return _all_alike(
        config,
        f"their spread is {values[-1]:.3f}, where 0 means that all are equal and 1 that they fill all dimensions",
    )


def _all_alike(config: Any, evidence: str) -> Problem:
    return Problem("the embeddings of all images are alike", evidence, GO_BACK, halved_learning_rate(config))


def features_of_rank_one(config: Any, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the features of the gallery span more than one dimension."""
    return rank_one(config, _settled(config, seen), GO_BACK)


def _settled(config: Any, seen: Sequence[Interval]) -> list[Interval]:
    return latest_intervals(config, seen, config.schedule.warmup_steps)
