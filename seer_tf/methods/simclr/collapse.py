"""Collapse checks of SimCLR. In a collapsed run, embeddings or features do not tell images apart."""

import functools

from seer_tf.training import view_metrics

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or simclr.temperature"

CHECKS = view_metrics.checks(
    functools.partial(view_metrics.at_chance, num_candidates=lambda config: 2 * config.data.global_batch_size - 1),
    view_metrics.alike,
    remedy=REMEDY,
)
