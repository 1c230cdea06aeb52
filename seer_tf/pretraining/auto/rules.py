"""The recipe `auto`: derives a config from the images, the devices and the available time, with reasons.

Values that the user has set are never replaced; the other values are derived from them. No rule knows a data set by
name. "Measured" refers to docs/lab/results.md. Papers and released code are the ones cited in the recipes. Some values
were measured here on thousands of small images, and others come from papers on millions of images. Between the two, our
own rules interpolate, and their reasons say so. `swav_rules.py` and `view_rules.py` have what is a method's own.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from seer_tf.config import PretrainingConfig
from seer_tf.config.fields import check_fields
from seer_tf.errors import InputError
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.models.backbones.regnet import design
from seer_tf.pretraining import planning
from seer_tf.pretraining.auto.choices import Choice, Choices, Facts
from seer_tf.pretraining.auto.method_rules import SMALL_PX, MethodRules
from seer_tf.pretraining.auto.swav_rules import SwavRules, rounded
from seer_tf.pretraining.auto.view_rules import ByolRules, MocoRules, SimclrRules
from seer_tf.quantities import counted

_SIDES_PX = (32, 64, 96, 128, 160, 224)
_VARIANTS = (
    *("90MF", "190MF", "200MF", "400MF", "800MF", "1.6GF", "4GF", "8GF"),
    *("16GF", "32GF", "64GF", "128GF", "256GF"),
)
_SMALLEST = _VARIANTS[:2]  # for runs of minutes
_STRIDE_ONE_PX = 64  # up to this crop size the stem keeps the resolution
_LEAST_STEPS = 4000
#: With fewer steps a run learns little; a smaller network makes more steps in the same time.
FEWEST_STEPS = _LEAST_STEPS // 2
_UNKNOWN_STEPS = 10**9  # placeholder that allows any of the user's values, until the arithmetic of a step is known
_MOST_EPOCHS = 800
_PARAMETERS_PER_IMAGE = 100
_MEMORY_SHARE = 0.8

_RULES: dict[str, MethodRules] = {
    rules.kind.method: rules for rules in (SwavRules(), SimclrRules(), MocoRules(), ByolRules())
}
#: Names of the methods that `auto` knows; the first is the default.
METHODS = tuple(_RULES)


def find_rules(method: str) -> MethodRules:
    """Returns the rules of a method.

    Raises:
        InputError: There are none.
    """
    if method not in _RULES:
        raise InputError.unknown("method of recipe auto", method, _RULES)
    return _RULES[method]


def choose(
    facts: Facts, own: Mapping[str, Any] | None = None, method: str = METHODS[0], start: Sequence[Choice] = ()
) -> Choices:
    """Returns choices for all fields that depend on the facts, and for the fields that the user has set.

    Args:
        facts: Images, devices and time.
        own: Values that the user has set, by `section.field`.
        method: One of `METHODS`.
        start: Choices that a network to start from makes (`starting_network.py`); they count as the user's own.

    Raises:
        InputError: There are too few images for any batch, no network fits the memory, or a value is not allowed.
    """
    if facts.num_images < 2 * facts.num_devices:
        raise InputError(
            f"{counted(facts.num_images, 'image')} for {counted(facts.num_devices, 'device')} is too little: each "
            "device needs two images or more"
        )
    rules = find_rules(method)
    values = tuple(Choice(field, value, "as you set it", is_own=True) for field, value in (own or {}).items())
    choices = Choices(rules.kind, (*values, *start))
    check_fields(choices.config)  # before anything is computed from it
    choices = rules.objective(choices.added([_batch(facts, rules)]), facts).added([_precision(facts), _RECOVER])
    choices = _with_length(choices, facts, _UNKNOWN_STEPS, "until there is a network")
    choices.config.check()
    choices = _with_network(choices, facts)
    found = _fitting(choices, facts)
    if found is None:
        raise InputError(
            f"no network fits {facts.device_bytes / 2**30:.1f} GiB with {choices.config.data.global_batch_size} "
            "images in a step; lower data.global_batch_size, or set fewer fields yourself"
        )
    reason = f"so that the run fits {facts.device_bytes / 2**30:.1f} GiB (docs/guides/planning.md)"
    choices = choices.added([Choice(field, value, reason) for field, value in found.items()])
    steps_per_second = facts.flops_per_second / planning.plan(choices.config, 1).step_flops
    return _with_length(choices, facts, *_steps(choices, facts, steps_per_second, "a guessed speed"))


def with_speed(choices: Choices, facts: Facts, images_per_second: float, *, spent_minutes: float = 0.0) -> Choices:
    """Returns the choices with the length that a measured speed allows.

    Args:
        choices: Choices of all other fields.
        facts: Facts about images, devices and time.
        images_per_second: Measured speed.
        spent_minutes: Time that has already been spent.
    """
    steps_per_second = images_per_second / choices.config.data.global_batch_size
    speed = f"{images_per_second:.0f} images/s"
    return _with_length(choices, facts, *_steps(choices, facts, steps_per_second, speed, spent_minutes))


def leaves_enough_steps(config: PretrainingConfig) -> bool:
    """Returns whether a run has enough steps to learn something, or already has the smallest network."""
    return config.run.num_steps >= FEWEST_STEPS or config.backbone.variant == _VARIANTS[0]


def computes_the_same(config: PretrainingConfig, other: PretrainingConfig) -> bool:
    """Returns whether two configs have the same network and crops, so that a step takes the same time."""
    return (config.backbone.variant, config.crops) == (other.backbone.variant, other.crops)


def speed_of(config: PretrainingConfig, images_per_second: float) -> float:
    """Returns the floating-point operations per second for a speed in images per second."""
    return images_per_second * planning.plan(config, 1).step_flops / config.data.global_batch_size


_RECOVER = Choice("run.on_trouble", "recover", "a run that does not learn starts again, twice at most, and says so")


def _batch(facts: Facts, rules: MethodRules) -> Choice:
    wanted = min(rules.batch * facts.num_devices, 8192, facts.num_images // 8)
    size = max(facts.num_devices, 2 ** int(math.log2(max(2, wanted))) // facts.num_devices * facts.num_devices)
    reason = f"a power of two, up to {rules.batch} per device ({rules.batch_source}) and an eighth of the images"
    return Choice("data.global_batch_size", size, reason)


def _precision(facts: Facts) -> Choice:
    return Choice(
        "run.precision",
        "mixed_bfloat16" if facts.is_accelerator else "float32",
        "bfloat16 has float32's range and needs no loss scale; a CPU gains little from bfloat16",
    )


def _fitting(choices: Choices, facts: Facts) -> dict[str, Any] | None:
    """Returns values that make the run fit, without fields that the user has set; None if nothing helps."""
    room = round(_MEMORY_SHARE * facts.device_bytes)
    found = planning.fitting(choices.config, facts.num_devices, room, settled=choices.own)
    return None if found is None else found[0]


def _with_network(choices: Choices, facts: Facts) -> Choices:
    """Returns the choices with the largest network and crops that still leave time for enough steps."""
    best: Choices | None = None
    for side, variant in _candidates(facts, choices):
        tried = choices.added(_network(choices, facts, side, variant))
        steps = facts.flops_per_second * 60 * facts.minutes / planning.plan(tried.config, 1).step_flops
        if best is None or (steps >= _LEAST_STEPS and _fitting(tried, facts) is not None):
            best = tried
    assert best is not None  # there is always a candidate
    return best


def _network(choices: Choices, facts: Facts, side: int, variant: str) -> list[Choice]:
    reason = (
        "the largest network that fits and leaves time for 4,000 steps; many steps of a small network beat few "
        "steps of a large one (measured)"
    )
    return [
        Choice("backbone.variant", variant, reason),
        *find_rules(choices.kind.method).crops(side, facts.num_images),
        Choice("backbone.stem_stride", _stem_stride(side), "crops up to 64 px keep their resolution in the stem"),
    ]


def _features(config: PretrainingConfig) -> Choice:
    """Returns the features that a run of this length should name. A network that the user gives may be of any size."""
    if config.backbone.variant in _SMALLEST or config.run.num_steps < FEWEST_STEPS:
        reason = "after runs of minutes all stages together are better than the last one (measured)"
        return Choice("backbone.features", "all_stages", reason)
    return Choice("backbone.features", "avgpool", "the mean of the last stage (SwAV, SEER)")


def _candidates(facts: Facts, choices: Choices) -> list[tuple[int, str]]:
    """Returns pairs of crop size and variant, from the least arithmetic to the most; keeps values set by the user."""
    config, largest = choices.config, max(_SIDES_PX[0], facts.shorter_side_px)
    sides = [side for side in _SIDES_PX if side <= largest]
    variants = [
        variant
        for variant in _VARIANTS
        if variant == _VARIANTS[0]
        or design.parameter_count(design.design(variant)) <= _PARAMETERS_PER_IMAGE * facts.num_images
    ]
    sides = [config.crops.sizes_px[0]] if "crops.sizes_px" in choices.own else sides
    variants = [config.backbone.variant] if "backbone.variant" in choices.own else variants
    pairs = [
        (side, variant)
        for side, variant in itertools.product(sides, variants)
        # Small crops are too small for the maps of a deep network, and large crops are wasted on the smallest networks.
        if (side < SMALL_PX) == (variant in _SMALLEST) or len(variants) <= 2
    ]
    return sorted(
        pairs,
        key=lambda pair: backbone_cost(
            dataclasses.replace(config.backbone, variant=pair[1], stem_stride=_stem_stride(pair[0]))
        ).multiply_adds(pair[0]),
    )


def _stem_stride(side: int) -> int:
    return 1 if side <= _STRIDE_ONE_PX else 2


def _steps(
    choices: Choices, facts: Facts, steps_per_second: float, speed: str, spent_minutes: float = 0.0
) -> tuple[int, str]:
    """Returns the number of steps and the reason for it."""
    most = max(_LEAST_STEPS, _MOST_EPOCHS * facts.num_images // choices.config.data.global_batch_size)
    in_time = max(20, int(60 * (facts.minutes - spent_minutes) * steps_per_second))
    spent = f", minus {spent_minutes:.1f} for finding these settings," if spent_minutes else ""
    if in_time < most:
        return in_time, f"{counted(facts.minutes, 'minute')}{spent} at {speed}"
    return most, f"{_MOST_EPOCHS} epochs, SwAV's longest, or {_LEAST_STEPS:,} steps"


def _with_length(choices: Choices, facts: Facts, steps: int, why: str) -> Choices:
    choices = choices.added([Choice("run.num_steps", steps, why)])
    steps, batch = choices.config.run.num_steps, choices.config.data.global_batch_size
    rules = find_rules(choices.kind.method)
    reference = Choice("schedule.reference_batch_size", batch, "the learning rates are for this batch size")
    choices = choices.added([reference])
    peak = rules.peak(steps, batch)
    of_reference = rounded(peak.value * choices.config.schedule.reference_batch_size / batch)
    choices = choices.added(
        [
            dataclasses.replace(peak, value=of_reference),
            _features(choices.config),
            rules.warmup_steps(steps),
            Choice("run.log_every_steps", max(1, min(50, steps // 20)), "at least twenty lines"),
            Choice("run.examine_every_steps", max(1, min(500, steps // 4)), "at least four examinations"),
            Choice("run.checkpoint_every_steps", max(1, min(500, steps // 4)), "at least four checkpoints"),
        ]
    )
    return choices.added(rules.of_length(choices, facts))
