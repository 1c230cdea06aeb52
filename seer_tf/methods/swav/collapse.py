"""Collapse checks of SwAV. In a collapsed run, the codes, prototypes or features do not tell images apart.

A run on the plateau tells images apart by very few features, and learns no others.

The thresholds are far from the numbers of healthy runs. Every run starts in a collapsed state. So a collapse counts
only if it lasts for a tenth of the run and at least 200 steps, after the warm-up and the frozen prototypes.
"""

import functools
from collections.abc import Sequence

from seer_tf.config import Config
from seer_tf.methods.swav import metrics
from seer_tf.quantities import percent
from seer_tf.training import metrics as run_metrics
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

#: What to change if numbers are not finite.
REMEDY = "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or swav.epsilon"

_NEAR_LN_K = 0.02
_ALMOST_ALL = 0.9
# A run on the plateau stayed at 0.89 to 0.95 ln K with a RankMe of 20 to 45. Runs that learn pass there quickly
# (docs/lab/results.md).
_PLATEAU = 0.85
_PLATEAU_RANK = 48
_PROGRESS = 0.01
_FIRST_SHARE = 0.2
_EXPLODING = 0.3
_VANISHING = 2.0**-25  # half of float32's rounding: such an update changes no weight


def _explodes(_: Config, seen: Sequence[Interval]) -> Problem | None:
    part, relative = max(_relative_updates(seen[-1]).items(), key=lambda item: item[1])
    if not relative > _EXPLODING:
        return None
    return Problem(
        "updates explode",
        f"a step changes the {part} by {relative:.2g} of its norm",
        "lower schedule.peak_learning_rate or optimizer.trust_coefficient",
    )


def _vanishes(config: Config, seen: Sequence[Interval]) -> Problem | None:
    relative = _relative_updates(seen[-1])["backbone"]
    begun = max(config.schedule.warmup_steps, config.schedule.head_only_steps)
    if not relative < _VANISHING or seen[-1].first_step < begun:
        return None
    return Problem(
        "updates vanish",
        f"a step changes the backbone by {relative:.2g} of its norm, which is lost in rounding",
        "raise schedule.peak_learning_rate, and schedule.final_learning_rate at the end of a run",
    )


def _stays_at_ln_k(config: Config, seen: Sequence[Interval]) -> Problem | None:
    losses = [interval.numbers[metrics.RELATIVE_LOSS] for interval in _latest(config, seen)]
    if not losses or max(abs(loss - 1) for loss in losses) > _NEAR_LN_K:
        return None
    return Problem(
        "the loss stays at ln K",
        f"it is {losses[-1]:.3f} ln K, and has been between {min(losses):.3f} and {max(losses):.3f} since step "
        f"{_latest(config, seen)[0].first_step}",
        f"try `swav.epsilon={config.swav.epsilon / 2:g}`, fewer head.num_prototypes, weaker colour jitter "
        "(crops.brightness, contrast, saturation, hue) or a longer swav.freeze_prototypes_steps",
        {"swav.epsilon": config.swav.epsilon / 2},
    )


def _stays_on_plateau(config: Config, seen: Sequence[Interval]) -> Problem | None:
    latest = _latest(config, seen)
    losses = [interval.numbers[metrics.RELATIVE_LOSS] for interval in latest]
    ranks = [interval.numbers[run_metrics.RANK_ME] for interval in latest]
    half = len(losses) // 2
    if not half or latest[-1].step < _FIRST_SHARE * config.run.num_steps or _stays_at_ln_k(config, seen) is not None:
        return None
    if min(losses) < _PLATEAU or max(ranks) > _PLATEAU_RANK or min(losses[half:]) < min(losses[:half]) - _PROGRESS:
        return None
    return Problem(
        "the run stays on a plateau",
        f"the loss is {losses[-1]:.3f} ln K and has not fallen since step {latest[0].first_step}, and RankMe is "
        f"{ranks[-1]:.0f}",
        "try a lower schedule.peak_learning_rate and a longer schedule.warmup_steps",
        halved_learning_rate(config),
    )


def _one_prototype(config: Config, seen: Sequence[Interval]) -> Problem | None:
    shares = [interval.numbers[metrics.LARGEST_SHARE] for interval in _latest(config, seen)]
    if not shares or min(shares) < _ALMOST_ALL or config.head.num_prototypes == 1:
        return None
    return Problem(
        "one prototype attracts almost all crops",
        f"{percent(shares[-1], 0)} of the crops have the same nearest prototype, and never less than "
        f"{percent(min(shares), 0)} since step {_latest(config, seen)[0].first_step}",
        "try more swav.sinkhorn_iterations, a longer swav.freeze_prototypes_steps or a lower "
        "schedule.peak_learning_rate",
        halved_learning_rate(config),
    )


def _rank_one(config: Config, seen: Sequence[Interval]) -> Problem | None:
    return rank_one(config, _latest(config, seen), f"{GO_BACK} or swav.epsilon")


def _latest(config: Config, seen: Sequence[Interval]) -> list[Interval]:
    begun = max(config.schedule.warmup_steps, config.schedule.head_only_steps, config.swav.freeze_prototypes_steps)
    return latest_intervals(config, seen, begun)


def _relative_updates(interval: Interval) -> dict[str, float]:
    return {part: interval.numbers[f"training/updates/relative_to_weights_{part}"] for part in metrics.PARTS}


CHECKS: tuple[HealthCheck, ...] = (
    functools.partial(not_finite, remedy=REMEDY),
    overflows,
    _explodes,
    _vanishes,
    frozen_data,
    _stays_at_ln_k,
    _stays_on_plateau,
    _one_prototype,
    _rank_one,
    waits_for_images,
)
"""All checks of a SwAV run, including the common ones, in the order in which problems are reported."""
