"""Collapse checks of BYOL. Nothing in its loss keeps images apart, so all embeddings can become alike."""

from seer_tf.training import view_metrics

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps"

CHECKS = view_metrics.checks(view_metrics.without_spread, remedy=REMEDY)
