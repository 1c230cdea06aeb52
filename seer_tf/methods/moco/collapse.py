"""Collapse checks of MoCo. In a collapsed run, embeddings or features do not tell images apart."""

import functools

from seer_tf.training import view_metrics
from seer_tf.training.health import HealthCheck, frozen_data, not_finite, overflows, waits_for_images

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or moco.temperature"

CHECKS: tuple[HealthCheck, ...] = (
    functools.partial(not_finite, remedy=REMEDY),
    overflows,
    frozen_data,
    functools.partial(view_metrics.at_chance, num_candidates=lambda config: 1 + config.moco.queue_length),
    view_metrics.alike,
    view_metrics.features_of_rank_one,
    waits_for_images,
)
"""All checks of a MoCo run, including the common ones, in the order in which problems are reported."""
