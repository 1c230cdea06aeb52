"""The guard: recognises a run that learns nothing, and says what it sees and what to try.

Each rule looks at the numbers of the last intervals of the log. Its thresholds are far from what healthy runs show:
collapse counts only when it lasts, after the warm-up and the frozen prototypes, for a tenth of the run and at least 200
steps, since every run begins like a collapsed one.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seer_tf.config import BaseConfig, Config
from seer_tf.train import gallery, measurements

_LEAST_PATIENCE_STEPS = 200
_PATIENCE_SHARE = 0.1
_NEAR_LN_K = 0.02
_EATS_ALL = 0.9
_RANK_ONE = 1.5
_EXPLODING = 0.3
_VANISHING = 2.0**-25  # half of float32's rounding: such an update changes no weight
_STARVING_SHARE = 0.5
_STARVING_INTERVALS = 3
_STARVING_SECONDS = 10.0
_FROZEN_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Something that keeps a run from learning.

    Attributes:
        condition: what it is.
        evidence: the numbers that show it.
        remedy: flags to try.
    """

    condition: str
    evidence: str
    remedy: str

    def __str__(self) -> str:
        """Returns it as one sentence."""
        return f"{self.condition}: {self.evidence}; {self.remedy}"


@dataclasses.dataclass(frozen=True)
class Interval:
    """What the log says of some steps.

    Attributes:
        first_step: number of steps before it.
        step: number of steps at its end.
        numbers: by name.
        first_bad: the first of its steps that met a number which is not finite, and that tensor; None for none.
    """

    first_step: int
    step: int
    numbers: Mapping[str, float]
    first_bad: tuple[int, str] | None = None


class Guard:
    """Watches the log of one run."""

    def __init__(self, config: BaseConfig, rules: "Sequence[Rule] | None" = None) -> None:
        """Starts with nothing seen; a run that is continued is judged by what follows.

        Args:
            config: of the run.
            rules: those that go with it; None for those of pretraining.
        """
        self._config, self._rules = config, _RULES if rules is None else rules
        self._seen: list[Interval] = []
        self._known: set[str] = set()

    def look(self, interval: Interval) -> list[Trouble]:
        """Returns the troubles that an interval shows and the one before it did not."""
        begin = interval.step - 2 * _patience_steps(self._config)
        self._seen = [earlier for earlier in self._seen if earlier.first_step >= begin] + [interval]
        found = [trouble for rule in self._rules if (trouble := rule(self._config, self._seen)) is not None]
        new = [trouble for trouble in found if trouble.condition not in self._known]
        self._known = {trouble.condition for trouble in found}
        return new


def _not_finite(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    uses_float16 = config.run.precision == "mixed_float16" or config.run.reduce_precision == "float16"
    if seen[-1].first_bad is None or uses_float16:  # float16 overflows now and then, until its loss scale fits
        return None
    step, name = seen[-1].first_bad
    return Trouble(
        "a number is not finite",
        f"at step {step} it was first met in {name}, and the update was left out",
        "lower schedule.peak_learning_rate, or raise schedule.warmup_steps or swav.epsilon",
    )


def _overflows(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    scale, skipped = seen[-1].numbers[measurements.LOSS_SCALE], seen[-1].numbers[measurements.SKIPPED_STEPS]
    if scale >= 1 or not skipped:
        return None
    return Trouble(
        "float16 overflows again and again",
        f"the loss scale is down to {scale:.3g}, and {skipped:.0f} steps of the last "
        f"{seen[-1].step - seen[-1].first_step} were left out",
        "try --set run.precision=mixed_bfloat16 (or float32), or lower schedule.peak_learning_rate",
    )


def _explodes(_: Config, seen: Sequence[Interval]) -> Trouble | None:
    part, relative = max(_relative_updates(seen[-1]).items(), key=lambda item: item[1])
    if not relative > _EXPLODING:
        return None
    return Trouble(
        "updates explode",
        f"a step moves the {part} by {relative:.2g} of its own norm",
        "lower schedule.peak_learning_rate or optimizer.trust_coefficient",
    )


def _vanishes(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    relative = _relative_updates(seen[-1])["backbone"]
    begun = max(config.schedule.warmup_steps, config.schedule.head_only_steps)
    if not relative < _VANISHING or seen[-1].first_step < begun:
        return None
    return Trouble(
        "updates vanish",
        f"a step moves the backbone by {relative:.2g} of its own norm, which is lost in rounding",
        "raise schedule.peak_learning_rate, and schedule.final_learning_rate at the end of a run",
    )


def _stays_at_ln_k(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    losses = [interval.numbers[measurements.RELATIVE_LOSS] for interval in _lately(config, seen)]
    if not losses or max(abs(loss - 1) for loss in losses) > _NEAR_LN_K:
        return None
    return Trouble(
        "the loss stays at ln K",
        f"it is {losses[-1]:.3f} ln K, and has been between {min(losses):.3f} and {max(losses):.3f} since step "
        f"{_lately(config, seen)[0].first_step}",
        f"try --set swav.epsilon={config.swav.epsilon / 2:g}, fewer head.num_prototypes, weaker colour jitter "
        "(crops.brightness, contrast, saturation, hue) or a longer swav.freeze_prototypes_steps",
    )


def _one_prototype(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    shares = [interval.numbers[measurements.LARGEST_SHARE] for interval in _lately(config, seen)]
    if not shares or min(shares) < _EATS_ALL or config.head.num_prototypes == 1:
        return None
    return Trouble(
        "one prototype eats all",
        f"{shares[-1]:.0%} of the crops have the same nearest prototype, and never less than {min(shares):.0%} since "
        f"step {_lately(config, seen)[0].first_step}",
        "try more swav.sinkhorn_iterations, a longer swav.freeze_prototypes_steps or a lower "
        "schedule.peak_learning_rate",
    )


def _rank_one(config: Config, seen: Sequence[Interval]) -> Trouble | None:
    ranks = [interval.numbers[gallery.RANK_ME] for interval in _lately(config, seen)]
    if not ranks or max(ranks) > _RANK_ONE:
        return None
    return Trouble(
        "the features have collapsed to rank one",
        f"RankMe is {ranks[-1]:.2f}, and never above {max(ranks):.2f} since step {_lately(config, seen)[0].first_step}",
        "go back to an earlier checkpoint (--init_from) with a lower schedule.peak_learning_rate or swav.epsilon",
    )


def _starves(_: Config, seen: Sequence[Interval]) -> Trouble | None:
    last = seen[1:][-_STARVING_INTERVALS:]  # not the first, which fills the pipeline
    shares = [interval.numbers[measurements.WAIT_SHARE] for interval in last]
    seconds = sum(
        interval.numbers[measurements.SECONDS_PER_STEP] * (interval.step - interval.first_step) for interval in last
    )
    if len(last) < _STARVING_INTERVALS or seconds < _STARVING_SECONDS or min(shares) < _STARVING_SHARE:
        return None
    return Trouble(
        "the data come too slowly",
        f"{min(shares):.0%} or more of the last {seconds:.0f} s were spent waiting for images",
        "make shards (experiments/prepare_shards.py), put them on a faster disk, give more CPU cores, or set "
        "data.augment_on=accelerator",
    )


def _frozen_data(_: Config, seen: Sequence[Interval]) -> Trouble | None:
    num_steps = seen[-1].step - seen[-1].first_step
    if num_steps < _FROZEN_STEPS or seen[-1].numbers[measurements.DISTINCT_BATCHES] > 1:
        return None
    return Trouble(
        "the data stand still",
        f"the crops of the last {num_steps} steps all have the same mean",
        "look at the crops in TensorBoard and at the images that --data names: they may all be one picture",
    )


Rule = Callable[[Any, Sequence[Interval]], Trouble | None]
"""From the config of a run and the intervals that were seen to what is wrong, if anything is."""

_RULES: tuple[Rule, ...] = (
    _not_finite,
    _overflows,
    _explodes,
    _vanishes,
    _frozen_data,
    _stays_at_ln_k,
    _one_prototype,
    _rank_one,
    _starves,
)
#: Those that say something of a run with labels.
SUPERVISED_RULES: tuple[Rule, ...] = (_overflows, _frozen_data, _starves)


def _lately(config: Config, seen: Sequence[Interval]) -> list[Interval]:
    """Returns the last intervals that together are long enough to call a state lasting; none before that."""
    begun = max(config.schedule.warmup_steps, config.schedule.head_only_steps, config.swav.freeze_prototypes_steps)
    settled = [
        interval
        for interval in seen
        if interval.first_step >= begun and math.isfinite(interval.numbers[measurements.RELATIVE_LOSS])
    ]
    for start in reversed(range(len(settled))):
        if settled[-1].step - settled[start].first_step >= _patience_steps(config):
            return settled[start:]
    return []


def _patience_steps(config: BaseConfig) -> int:
    return max(_LEAST_PATIENCE_STEPS, round(_PATIENCE_SHARE * config.run.num_steps))


def _relative_updates(interval: Interval) -> dict[str, float]:
    return {part: interval.numbers[f"updates/relative_to_weights_{part}"] for part in measurements.PARTS}
