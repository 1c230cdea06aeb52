"""Health checks: they recognise a run that does not learn, and name the evidence and a remedy.

Each check looks at the numbers from the latest intervals of the log. The checks here fit every task. A method adds
checks that know its objective, e.g. `methods/swav/collapse.py`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seer_tf.config import BaseConfig
from seer_tf.quantities import counted, percent
from seer_tf.training import metrics

_LEAST_PATIENCE_STEPS = 200
_PATIENCE_SHARE = 0.1
_STARVING_SHARE = 0.5
_STARVING_INTERVALS = 3
_STARVING_SECONDS = 10.0
_FROZEN_STEPS = 4
_RANK_ONE = 1.5
#: What to try after a collapse.
GO_BACK = "go back to an earlier checkpoint (`run.init_from`) with a lower schedule.peak_learning_rate"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that keeps a run from learning.

    Attributes:
        condition: What is wrong.
        evidence: The numbers that show it.
        remedy: What to try.
        changes: New values of config fields, by `section.field`, with which a run that starts again may learn.
    """

    condition: str
    evidence: str
    remedy: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """Returns the problem as one sentence."""
        return f"{self.condition}: {self.evidence}; {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Interval:
    """What the log says about consecutive steps.

    Attributes:
        first_step: Number of steps made before the interval.
        step: Number of steps made at its end.
        numbers: The numbers of the log, by name.
        first_bad: The first step with a number that is not finite, and the name of that tensor; None if there is none.
    """

    first_step: int
    step: int
    numbers: Mapping[str, float]
    first_bad: tuple[int, str] | None = None


class HealthMonitor:
    """Applies health checks to the log of one run."""

    def __init__(self, config: BaseConfig, checks: "Sequence[HealthCheck]") -> None:
        """Starts with no intervals.

        Args:
            config: Run configuration.
            checks: Checks to apply to each interval, in this order.
        """
        self._config, self._checks = config, checks
        self._seen: list[Interval] = []
        self._known: set[str] = set()

    def check(self, interval: Interval) -> list[Problem]:
        """Returns the problems that this interval shows and the interval before it did not show."""
        begin = interval.step - 2 * patience_steps(self._config)
        self._seen = [earlier for earlier in self._seen if earlier.first_step >= begin] + [interval]
        found = [problem for check in self._checks if (problem := check(self._config, self._seen)) is not None]
        new = [problem for problem in found if problem.condition not in self._known]
        self._known = {problem.condition for problem in found}
        return new


def not_finite(config: BaseConfig, seen: Sequence[Interval], *, remedy: str) -> Problem | None:
    """Checks that all numbers of a float32 or bfloat16 run were finite."""
    uses_float16 = config.run.precision == "mixed_float16" or config.run.reduce_precision == "float16"
    if seen[-1].first_bad is None or uses_float16:  # float16 overflows now and then until its loss scale fits
        return None
    step, name = seen[-1].first_bad
    return Problem(
        "a number is not finite",
        f"it first appeared in {name} at step {step}, and that update was skipped",
        remedy,
    )


def overflows(config: BaseConfig, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the loss scale of a float16 run has not fallen below one."""
    scale, skipped = seen[-1].numbers[metrics.LOSS_SCALE], seen[-1].numbers[metrics.SKIPPED_STEPS]
    if scale >= 1 or not skipped:
        return None
    return Problem(
        "float16 overflows again and again",
        f"the loss scale has fallen to {scale:.3g}, and {counted(round(skipped), 'step')} of the last "
        f"{seen[-1].step - seen[-1].first_step} were skipped",
        "try `run.precision=mixed_bfloat16` (or float32), or lower schedule.peak_learning_rate",
    )


def waits_for_images(_: BaseConfig, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the run does not spend most of its time waiting for images."""
    last = seen[1:][-_STARVING_INTERVALS:]  # without the first interval, which fills the pipeline
    shares = [interval.numbers[metrics.WAIT_SHARE] for interval in last]
    seconds = sum(
        interval.numbers[metrics.SECONDS_PER_STEP] * (interval.step - interval.first_step) for interval in last
    )
    if len(last) < _STARVING_INTERVALS or seconds < _STARVING_SECONDS or min(shares) < _STARVING_SHARE:
        return None
    return Problem(
        "the images arrive too slowly",
        f"the run spent {percent(min(shares), 0)} or more of the last {seconds:.0f} s waiting for images",
        "make shards (experiments/prepare_shards.py), put them on a faster disk, give the run more CPU cores, or set "
        "data.augment_on=accelerator",
    )


def frozen_data(_: BaseConfig, seen: Sequence[Interval]) -> Problem | None:
    """Checks that the batches of an interval differ."""
    num_steps = seen[-1].step - seen[-1].first_step
    if num_steps < _FROZEN_STEPS or seen[-1].numbers[metrics.DISTINCT_BATCHES] > 1:
        return None
    return Problem(
        "the images do not change",
        f"the crops in the last {num_steps} steps all have the same mean",
        "look at the crops in TensorBoard and at the images that `data.source` names: they may all be one picture",
    )


def rank_one(config: BaseConfig, settled: Sequence[Interval], remedy: str) -> Problem | None:
    """Checks that the features of the gallery span more than one dimension.

    Args:
        config: Run configuration.
        settled: Intervals that count, as `latest_intervals` returns them.
        remedy: What to try.
    """
    ranks = [interval.numbers[metrics.RANK_ME] for interval in settled]
    if not ranks or max(ranks) > _RANK_ONE:
        return None
    return Problem(
        "the features have collapsed to rank one",
        f"RankMe is {ranks[-1]:.2f}, and never above {max(ranks):.2f} since step {settled[0].first_step}",
        remedy,
        halved_learning_rate(config),
    )


HealthCheck = Callable[[Any, Sequence[Interval]], Problem | None]
"""A function that takes the config and the latest intervals of a run. It returns the problem they show, or None."""

#: Checks that fit every task.
COMMON_CHECKS: tuple[HealthCheck, ...] = (overflows, frozen_data, waits_for_images)


def halved_learning_rate(config: Any) -> dict[str, Any]:
    """Returns half of the peak learning rate, after a warm-up that is twice as long but at most half of the run."""
    warmup = config.schedule.warmup_steps
    return {
        "schedule.peak_learning_rate": config.schedule.peak_learning_rate / 2,
        "schedule.warmup_steps": max(warmup, min(2 * warmup, config.run.num_steps // 2)),
    }


def latest_intervals(config: BaseConfig, seen: Sequence[Interval], begun: int) -> list[Interval]:
    """Returns the latest intervals that together last as long as the patience; an empty list if the run is shorter.

    Args:
        config: Run configuration.
        seen: Intervals of the log.
        begun: First step that counts. Intervals without an update never count.
    """
    settled = [
        interval for interval in seen if interval.first_step >= begun and math.isfinite(interval.numbers[metrics.LOSS])
    ]
    for start in reversed(range(len(settled))):
        if settled[-1].step - settled[start].first_step >= patience_steps(config):
            return settled[start:]
    return []


def patience_steps(config: BaseConfig) -> int:
    """Returns the number of steps that a state must last to count: a tenth of the run, and at least 200."""
    return max(_LEAST_PATIENCE_STEPS, round(_PATIENCE_SHARE * config.run.num_steps))
