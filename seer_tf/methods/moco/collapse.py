"""Collapse checks of MoCo. In a collapsed run, embeddings or features do not tell images apart."""

import functools

from seer_tf.training import view_metrics

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or moco.temperature"

CHECKS = view_metrics.checks(
    functools.partial(view_metrics.at_chance, num_candidates=lambda config: 1 + config.moco.queue_length),
    view_metrics.alike,
    remedy=REMEDY,
)
