"""Collapse checks of BYOL. Nothing in its loss keeps images apart, so all embeddings can become alike."""

import functools

from seer_tf.training import view_metrics
from seer_tf.training.health import HealthCheck, frozen_data, not_finite, overflows, waits_for_images

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps"

CHECKS: tuple[HealthCheck, ...] = (
    functools.partial(not_finite, remedy=REMEDY),
    overflows,
    frozen_data,
    view_metrics.without_spread,
    view_metrics.features_of_rank_one,
    waits_for_images,
)
"""All checks of a BYOL run, including the common ones, in the order in which problems are reported."""
