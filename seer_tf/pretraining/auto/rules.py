"""The recipe `auto`: derives a config from the images, the devices and the available time, with reasons.

Values that the user has set are never replaced; the other values are derived from them. No rule knows a data set by
name. "Measured" refers to docs/lab/results.md. Papers and released code are the ones cited in `recipes.py`. Some values
were measured here on thousands of small images, and others come from papers on millions of images. Between the two, our
own rules interpolate, and their reasons say so.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.config.fields import check_fields
from seer_tf.errors import InputError
from seer_tf.models.backbones.registry import backbone_cost
from seer_tf.models.backbones.regnet import design
from seer_tf.pretraining import planning
from seer_tf.quantities import counted, percent

NAME = "auto"

_SIDES_PX = (32, 64, 96, 128, 160, 224)
_VARIANTS = (
    *("90MF", "190MF", "200MF", "400MF", "800MF", "1.6GF", "4GF", "8GF"),
    *("16GF", "32GF", "64GF", "128GF", "256GF"),
)
_STRIDE_ONE_PX = 64  # up to this crop size the stem keeps the resolution
_SMALL_PX = 96  # below this crop size the settings that were measured here apply
_MANY_IMAGES = 100_000  # from this number of images on the papers' crops apply, below it those measured here
#: Smallest share of the variance of an untrained network's embeddings that two crops of an image must have in common.
LEAST_VIEW_CORRELATION = 0.03
#: From this accuracy of colour histograms on, between chance (0) and 1, colour tells the classes of a set apart.
LEAST_COLOUR_SHARE = 0.35
_COLOURS = ("crops.brightness", "crops.contrast", "crops.saturation", "crops.hue", "crops.grayscale_probability")
_KEEPS_COLOUR = (0.3, 0.3, 0.2, 0.02, 0.0)
_LEAST_STEPS = 4000
#: With fewer steps a run learns little; a smaller network makes more steps in the same time.
FEWEST_STEPS = _LEAST_STEPS // 2
_UNKNOWN_STEPS = 10**9  # placeholder that allows any of the user's values, until the arithmetic of a step is known
_MOST_EPOCHS = 800
_SHORT_RATE, _RATE_STEPS = 2.0, 8000  # for 4,000 steps the best peak learning rate was 2; 3 has ruined runs
_PARAMETERS_PER_IMAGE = 100
_MEMORY_SHARE = 0.8


@dataclasses.dataclass(frozen=True)
class Facts:
    """The facts from which the config is derived.

    Attributes:
        num_images: Number of images.
        shorter_side_px: Shorter side of a typical image, in pixels.
        num_devices: Number of replicas.
        is_accelerator: Whether the devices are GPUs.
        device_bytes: Memory of one device, in bytes.
        minutes: Time for the whole run, in minutes.
        flops_per_second: Floating-point operations per second over all devices, as far as known.
    """

    num_images: int
    shorter_side_px: int
    num_devices: int
    is_accelerator: bool
    device_bytes: int
    minutes: float
    flops_per_second: float


@dataclasses.dataclass(frozen=True)
class Choice:
    """The value of a field `section.field` and the reason for it. The user's own choices are never replaced."""

    field: str
    value: Any
    reason: str
    is_own: bool = False

    def __str__(self) -> str:
        """Returns the choice as one line."""
        return f"{self.field + '=' + configs.format_value(self.value):44} {self.reason}"


def choose(facts: Facts, own: Mapping[str, Any] | None = None) -> list[Choice]:
    """Returns choices for all fields that depend on the facts, and for the fields that the user has set.

    Args:
        facts: Images, devices and time.
        own: Values that the user has set, by `section.field`.

    Raises:
        InputError: There are too few images for any batch, no network fits the memory, or a value is not allowed.
    """
    if facts.num_images < 2 * facts.num_devices:
        raise InputError(
            f"{counted(facts.num_images, 'image')} for {counted(facts.num_devices, 'device')} is too little: each "
            "device needs two images or more"
        )
    choices = [Choice(field, value, "as you set it", is_own=True) for field, value in (own or {}).items()]
    check_fields(config_of(choices))  # before anything is computed from it
    choices = _added(choices, [_batch(facts)])
    choices = _added(choices, _prototypes(facts, config_of(choices)))
    choices = _added(choices, [_queue(facts, config_of(choices))])
    choices = _added(choices, [*_objective(), _precision(facts)])
    choices = _with_length(choices, facts, _UNKNOWN_STEPS, "until there is a network")
    config_of(choices).check()
    choices = _with_network(choices, facts)
    found = _fitting(choices, facts)
    if found is None:
        raise InputError(
            f"no network fits {facts.device_bytes / 2**30:.1f} GiB with {config_of(choices).data.global_batch_size} "
            "images in a step; lower data.global_batch_size, or set fewer fields yourself"
        )
    reason = f"so that the run fits {facts.device_bytes / 2**30:.1f} GiB (docs/guides/planning.md)"
    choices = _added(choices, [Choice(field, value, reason) for field, value in found.items()])
    steps_per_second = facts.flops_per_second / planning.plan(config_of(choices), 1).step_flops
    return _with_length(choices, facts, *_steps(choices, facts, steps_per_second, "a guessed speed"))


def with_speed(
    choices: list[Choice], facts: Facts, images_per_second: float, *, spent_minutes: float = 0.0
) -> list[Choice]:
    """Returns the choices with the length that a measured speed allows.

    Args:
        choices: Choices of all other fields.
        facts: Facts about images, devices and time.
        images_per_second: Measured speed.
        spent_minutes: Time that has already been spent.
    """
    steps_per_second = images_per_second / config_of(choices).data.global_batch_size
    speed = f"{images_per_second:.0f} images/s"
    return _with_length(choices, facts, *_steps(choices, facts, steps_per_second, speed, spent_minutes))


def distortions(choices: list[Choice], facts: Facts, colour_share: float = 0.0) -> list[list[Choice]]:
    """Returns the choices with each possible distortion of colour, the strongest first.

    After the view correlation of one of them is measured, `with_view_correlation` adds the reason for it.

    Args:
        choices: Choices of all other fields.
        facts: Facts about images, devices and time.
        colour_share: Accuracy of colour histograms on labelled images, from 0 (chance) to 1; 0 without labels.
    """
    full, half = (0.8, 0.8, 0.8, 0.2, 0.2), (0.4, 0.4, 0.4, 0.2, 0.2)
    ladder = [full, half, (0.2, 0.2, 0.2, 0.05, 0.05), (0.0, 0.0, 0.0, 0.0, 0.0)]
    ladder = ladder[ladder.index(full if facts.num_images >= _MANY_IMAGES else half) :]
    if colour_share >= LEAST_COLOUR_SHARE:
        ladder = [_KEEPS_COLOUR, ladder[-1]]
    return [
        _added(choices, [Choice(field, value, "the same") for field, value in zip(_COLOURS, values, strict=True)])
        for values in ladder
    ]


def with_view_correlation(choices: list[Choice], share: float, colour_share: float = 0.0) -> list[Choice]:
    """Returns the choices with the reason for their distortion of colour.

    Args:
        choices: Choices of all fields.
        share: Measured view correlation.
        colour_share: As for `distortions`.
    """
    reason = (
        f"the strongest distortion with which two crops share {percent(LEAST_VIEW_CORRELATION, 0)} or more of an "
        f"untrained network's variance, here {percent(share)}; with less, runs stayed at the loss of chance (measured)"
        if share >= LEAST_VIEW_CORRELATION
        else f"the weakest distortion; two crops still share only {percent(share)} of an untrained network's variance"
    )
    if colour_share >= LEAST_COLOUR_SHARE:
        reason = f"a weak distortion, because colour tells the classes apart; two crops share {percent(share)}"
    free = [choice.field for choice in choices if choice.field in _COLOURS and not choice.is_own]
    return [dataclasses.replace(each, reason=reason) if each.field in free[:1] else each for each in choices]


def leaves_enough_steps(config: Config) -> bool:
    """Returns whether a run has enough steps to learn something, or already has the smallest network."""
    return config.run.num_steps >= FEWEST_STEPS or config.backbone.variant == _VARIANTS[0]


def config_of(choices: list[Choice]) -> Config:
    """Returns the default config with the chosen values."""
    return configs.replace(Config(recipe=NAME), {choice.field: choice.value for choice in choices})


def speed_of(config: Config, images_per_second: float) -> float:
    """Returns the floating-point operations per second for a speed in images per second."""
    return images_per_second * planning.plan(config, 1).step_flops / config.data.global_batch_size


def _added(choices: list[Choice], new: list[Choice]) -> list[Choice]:
    """Returns the choices with new ones. A new choice replaces one for the same field, unless it is the user's own."""
    own, fields = {choice.field for choice in choices if choice.is_own}, {choice.field for choice in new}
    kept = [choice for choice in choices if choice.is_own or choice.field not in fields]
    return kept + [choice for choice in new if choice.field not in own]


def _batch(facts: Facts) -> Choice:
    for_each = 64
    wanted = min(for_each * facts.num_devices, 8192, facts.num_images // 8)
    size = max(facts.num_devices, 2 ** int(math.log2(max(2, wanted))) // facts.num_devices * facts.num_devices)
    reason = "a power of two, up to 64 per device (measured; SwAV and SEER have 16 to 64) and an eighth of the images"
    return Choice("data.global_batch_size", size, reason)


def _prototypes(facts: Facts, config: Config) -> list[Choice]:
    number = min(16_000, max(10, round(100 * (facts.num_images / 10_000) ** 0.7)))
    choices = [
        Choice(
            "head.num_prototypes",
            number,
            "100 x (images / 10,000)^0.7, from 10 to 16,000: 100 for 10,000 images (measured), 3,000 for ImageNet "
            "(SwAV), 16,000 for a billion (SEER); the curve is ours",
        )
    ]
    large = number >= 3000
    hidden, embedding = ((2048,), 128) if large else ((512,), 64)
    choices.append(Choice("head.hidden_dims", hidden, "SwAV's head" if large else "measured with few prototypes"))
    choices.append(Choice("head.embedding_dim", embedding, "the same"))
    return choices


def _queue(facts: Facts, config: Config) -> Choice:
    number, batch = config.head.num_prototypes, config.data.global_batch_size
    if 2 * batch >= number:
        return Choice("swav.queue_length", 0, "a step with half as many images as prototypes needs no queue (measured)")
    length = min(math.ceil(number / batch), facts.num_images // (2 * batch)) * batch
    reason = "batch and queue together hold as many images as there are prototypes (SwAV, 4.3)"
    return Choice("swav.queue_length", length, reason)


def _precision(facts: Facts) -> Choice:
    return Choice(
        "run.precision",
        "mixed_bfloat16" if facts.is_accelerator else "float32",
        "bfloat16 has float32's range and needs no loss scale; a CPU gains little from bfloat16",
    )


def _objective() -> list[Choice]:
    return [
        Choice(
            "swav.epsilon",
            0.02,
            "scores grow if crops share more than epsilon / temperature of the scores' variance (measured)",
        ),
        Choice("swav.temperature", 0.1, "SwAV, appendix A; SEER the same"),
        Choice("swav.sinkhorn_iterations", 3, "SwAV, appendix A"),
        Choice("optimizer.weight_decay", 1e-6, "SwAV, appendix A"),
        Choice("run.on_trouble", "recover", "a run that does not learn starts again, twice at most, and says so"),
    ]


def _fitting(choices: list[Choice], facts: Facts) -> dict[str, Any] | None:
    """Returns values that make the run fit, without fields that the user has set; None if nothing helps."""
    own = [choice.field for choice in choices if choice.is_own]
    room = round(_MEMORY_SHARE * facts.device_bytes)
    found = planning.fitting(config_of(choices), facts.num_devices, room, settled=own)
    return None if found is None else found[0]


def _with_network(choices: list[Choice], facts: Facts) -> list[Choice]:
    """Returns the choices with the largest network and crops that still leave time for enough steps."""
    best: list[Choice] = []
    for side, variant in _candidates(facts, choices):
        reason = (
            "the largest network that fits and leaves time for 4,000 steps; many steps of a small network beat few "
            "steps of a large one (measured)"
        )
        tried = _added(choices, [Choice("backbone.variant", variant, reason), *_crops(side, facts.num_images)])
        steps = facts.flops_per_second * 60 * facts.minutes / planning.plan(config_of(tried), 1).step_flops
        if not best or (steps >= _LEAST_STEPS and _fitting(tried, facts) is not None):
            best = tried
    return best


def _candidates(facts: Facts, choices: list[Choice]) -> list[tuple[int, str]]:
    """Returns pairs of crop size and variant, from the least arithmetic to the most; keeps values set by the user."""
    own, config = {choice.field for choice in choices if choice.is_own}, config_of(choices)
    largest = max(_SIDES_PX[0], facts.shorter_side_px)
    sides = [side for side in _SIDES_PX if side <= largest]
    variants = [
        variant
        for variant in _VARIANTS
        if variant == _VARIANTS[0]
        or design.parameter_count(design.design(variant)) <= _PARAMETERS_PER_IMAGE * facts.num_images
    ]
    sides = [config.crops.sizes_px[0]] if "crops.sizes_px" in own else sides
    variants = [config.backbone.variant] if "backbone.variant" in own else variants
    pairs = [
        (side, variant)
        for side, variant in itertools.product(sides, variants)
        # Small crops are too small for the maps of a deep network, and large crops are wasted on the smallest networks.
        if (side < _SMALL_PX) == (variant in _VARIANTS[:2]) or len(variants) <= 2
    ]
    return sorted(
        pairs,
        key=lambda pair: backbone_cost(
            dataclasses.replace(config.backbone, variant=pair[1], stem_stride=_stem_stride(pair[0]))
        ).multiply_adds(pair[0]),
    )


def _stem_stride(side: int) -> int:
    return 1 if side <= _STRIDE_ONE_PX else 2


def _crops(side: int, num_images: int) -> list[Choice]:
    small = max(16, round(side * 96 / 224 / 16) * 16)
    choices = [
        Choice("crops.num", (2, 4), "SEER, 3.2"),
        Choice("crops.sizes_px", (side, small), "no larger than the images; in the ratio of 224 to 96 px (SwAV)"),
        Choice("backbone.stem_stride", _stem_stride(side), "crops up to 64 px keep their resolution in the stem"),
    ]
    if side >= _SMALL_PX and num_images >= _MANY_IMAGES:
        return [
            *choices,
            Choice("crops.min_area_fractions", (0.14, 0.05), "SwAV, appendix A; SEER the same"),
            Choice("crops.max_area_fractions", (1.0, 0.14), "the same"),
        ]
    return [
        *choices,
        Choice(
            "crops.min_area_fractions",
            (0.4, 0.12),
            "larger parts than SwAV's for small or few images: measured for crops of 32 and 64 px; our rule for others",
        ),
        Choice("crops.max_area_fractions", (1.0, 0.4), "the same"),
        Choice("crops.blur_probability", 0.0, "the same"),
    ]


def _steps(
    choices: list[Choice], facts: Facts, steps_per_second: float, speed: str, spent_minutes: float = 0.0
) -> tuple[int, str]:
    """Returns the number of steps and the reason for it."""
    most = max(_LEAST_STEPS, _MOST_EPOCHS * facts.num_images // config_of(choices).data.global_batch_size)
    in_time = max(20, int(60 * (facts.minutes - spent_minutes) * steps_per_second))
    spent = f", minus {spent_minutes:.1f} for finding these settings," if spent_minutes else ""
    if in_time < most:
        return in_time, f"{counted(facts.minutes, 'minute')}{spent} at {speed}"
    return most, f"{_MOST_EPOCHS} epochs, SwAV's longest, or {_LEAST_STEPS:,} steps"


def _with_length(choices: list[Choice], facts: Facts, steps: int, why: str) -> list[Choice]:
    choices = _added(choices, [Choice("run.num_steps", steps, why)])
    steps, batch = config_of(choices).run.num_steps, config_of(choices).data.global_batch_size
    reference = Choice("schedule.reference_batch_size", batch, "the learning rates are for this batch size")
    reference_batch = config_of(_added(choices, [reference])).schedule.reference_batch_size
    warmup = max(1, min(steps // 12, 8000, max(50, steps // 40)))
    peak = max(0.3 * batch / 256, min(_SHORT_RATE, _RATE_STEPS / steps)) * reference_batch / batch
    frozen = max(1, min(313, facts.num_images // batch, steps // 12))
    length = [
        Choice(
            "schedule.peak_learning_rate",
            _rounded(peak),
            "2.0 up to 4,000 steps (measured; 3.0 has ruined runs), then 8,000 / steps by our rule, and at least "
            "SwAV's 0.3 for every 256 images",
        ),
        reference,
        Choice("schedule.warmup_steps", warmup, "a fortieth of the run, from 50 to 8,000 (measured; SEER has 8,000)"),
        Choice("swav.freeze_prototypes_steps", frozen, "an epoch, but at most SwAV's 313 and a twelfth of the run"),
        Choice("run.log_every_steps", max(1, min(50, steps // 20)), "at least twenty lines"),
        Choice("run.examine_every_steps", max(1, min(500, steps // 4)), "at least four examinations"),
        Choice("run.checkpoint_every_steps", max(1, min(500, steps // 4)), "at least four checkpoints"),
    ]
    if config_of(choices).swav.queue_length:
        reason = "after 7.5 % of the run, like 15 of 200 epochs in SwAV"
        length.append(Choice("swav.queue_start_step", steps * 3 // 40, reason))
    choices = _added(choices, length)
    final = config_of(choices).schedule.peak_learning_rate / 1000
    return _added(choices, [Choice("schedule.final_learning_rate", _rounded(final), "a thousandth of the peak (SwAV)")])


def _rounded(rate: float) -> float:
    """Returns a learning rate rounded to three significant digits."""
    return round(rate, 2 - math.floor(math.log10(rate))) if rate else 0.0
