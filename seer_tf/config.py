"""What defines a run: frozen dataclasses, typed overrides, and their JSON form.

A `Config` is complete: together with the images it determines a run. It knows nothing of TensorFlow. Units are part of
the names (`_px`, `_steps`, `_fractions`); what is global says so. Values and their sources are in `recipes.py`.
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from absl import logging

from seer_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, how many in a step over all replicas, and how many of them may be bad.

    `augment_on` is where crops are flipped, coloured and blurred: "host" or "accelerator".
    """

    source: str = "builtin"
    global_batch_size: int = 256
    max_bad_fraction: float = 0.01
    augment_on: str = "host"


@dataclasses.dataclass(frozen=True)
class CropsConfig:
    """Multi-crop (SwAV, section 3.4): one entry per group of crops of one size, the assigning and largest first."""

    num: tuple[int, ...] = (2, 4)
    sizes_px: tuple[int, ...] = (224, 96)
    min_area_fractions: tuple[float, ...] = (0.14, 0.05)
    max_area_fractions: tuple[float, ...] = (1.0, 0.14)
    interpolation: str = "bilinear"
    flip_probability: float = 0.5
    color_jitter_probability: float = 0.8
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    grayscale_probability: float = 0.2
    blur_probability: float = 0.5
    blur_min_sigma_px: float = 0.1
    blur_max_sigma_px: float = 2.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class BackboneConfig:
    """A RegNetY by the name of its design in `models/backbones/regnet/design.py`."""

    variant: str = "400MF"
    stem_stride: int = 2
    activation_checkpointing: str = "none"


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """Projection MLP (hidden layers, then the embedding) and prototypes."""

    hidden_dims: tuple[int, ...] = (2048,)
    embedding_dim: int = 128
    batch_norm: bool = True
    num_prototypes: int = 3000


@dataclasses.dataclass(frozen=True)
class SwavConfig:
    """Sinkhorn codes and swapped prediction."""

    temperature: float = 0.1
    epsilon: float = 0.05
    sinkhorn_iterations: int = 3
    num_assigning_crops: int = 2
    freeze_prototypes_steps: int = 313
    queue_length: int = 0
    queue_start_step: int = 0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """LARS."""

    momentum: float = 0.9
    weight_decay: float = 1e-6
    trust_coefficient: float = 0.001
    epsilon: float = 1e-8


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, then the curve named by `kind`, over the whole of the run.

    The learning rates are for `reference_batch_size` images in a step, and are scaled by the batch there is.
    """

    kind: str = "swav_cosine"
    warmup_steps: int = 0
    warmup_start_learning_rate: float = 0.0
    peak_learning_rate: float = 0.3
    final_learning_rate: float = 0.0003
    reference_batch_size: int = 256
    halving_window_steps: int = 0
    head_only_steps: int = 0


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Length, seed, arithmetic, where to start, how often something is written, and what to do in trouble.

    `init_from` is another run or a converted model, of which the parts in `reset` are not taken. `keep_every_steps`
    keeps the checkpoints of its multiples beside the last ones; 0 keeps none. `examine_every_steps` is for what is dear
    to look at: the probe, pictures and histograms. `deterministic` gives the same bits on every run of one machine,
    more slowly.
    """

    num_steps: int = 1000
    seed: int = 0
    precision: str = "float32"
    reduce_precision: str = "float32"
    accumulation_steps: int = 1
    batch_norm_group_replicas: int = 0
    xla: bool = False
    init_from: str = ""
    reset: tuple[str, ...] = ()
    log_every_steps: int = 50
    examine_every_steps: int = 500
    checkpoint_every_steps: int = 500
    keep_checkpoints: int = 2
    keep_every_steps: int = 0
    on_trouble: str = "warn"
    steps_per_call: int = 10
    deterministic: bool = False


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """What runs of every kind have: the name of a recipe, and how the loop goes. All other fields are sections, too."""

    recipe: str = ""
    run: RunConfig = dataclasses.field(default_factory=RunConfig)


AnyConfig = TypeVar("AnyConfig", bound=BaseConfig)


@dataclasses.dataclass(frozen=True)
class Config(BaseConfig):
    """All of a run of pretraining."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    crops: CropsConfig = dataclasses.field(default_factory=CropsConfig)
    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)
    head: HeadConfig = dataclasses.field(default_factory=HeadConfig)
    swav: SwavConfig = dataclasses.field(default_factory=SwavConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)


def override(config: AnyConfig, assignments: Iterable[str]) -> AnyConfig:
    """Returns the config with fields replaced.

    Args:
        config: where to start.
        assignments: texts `section.field=value`, e.g. `head.num_prototypes=100` or `crops.num=2,4`; the value is read
            by the type of the field.

    Raises:
        InputError: the section or field does not exist, or the value is not of its type.
    """
    sections = _sections(type(config))
    for path, text in assigned(assignments).items():
        section, _, field = path.partition(".")
        if section not in sections:
            raise InputError.unknown("section of the config", section, sections)
        kinds = typing.get_type_hints(sections[section])
        if field not in kinds:
            raise InputError.unknown(f"field of {section}", field, kinds)
        part = dataclasses.replace(getattr(config, section), **{field: _parse(path, text, kinds[field])})
        config = dataclasses.replace(config, **{section: part})
    return config


def assigned(assignments: Iterable[str]) -> dict[str, str]:
    """Returns the texts of the values by `section.field`, of assignments as `override` takes them; the last one holds.

    Raises:
        InputError: a text is not of that form.
    """
    values = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not (equals and "." in path):
            raise InputError(f"{assignment!r} is not of the form section.field=value, e.g. run.num_steps=500")
        values[path.strip()] = text.strip()
    return values


def validate(config: Config) -> Config:
    """Returns the config unchanged, if its fields agree with each other; warns of what they leave without effect.

    Raises:
        InputError: a field is out of its range, or two of them do not go together.
    """
    check_fields(config)
    check_crops(config.crops)
    crops, swav, run = config.crops, config.swav, config.run
    if swav.num_assigning_crops > crops.num[0]:
        raise InputError(
            f"swav.num_assigning_crops={swav.num_assigning_crops} must be between 1 and crops.num's first, "
            f"{crops.num[0]}"
        )
    if sum(crops.num) < 2:
        raise InputError("swapped prediction needs at least two crops of an image; raise crops.num")
    if config.data.max_bad_fraction == 1:
        raise InputError("data.max_bad_fraction=1 must be from 0 to below 1")
    if config.data.global_batch_size % run.accumulation_steps:
        raise InputError(
            f"data.global_batch_size={config.data.global_batch_size} must be a multiple of "
            f"run.accumulation_steps={run.accumulation_steps}; change one of them"
        )
    if swav.queue_length % config.data.global_batch_size:
        raise InputError(
            f"swav.queue_length={swav.queue_length} must be a multiple of "
            f"data.global_batch_size={config.data.global_batch_size}, or 0 for no queue"
        )
    if config.schedule.warmup_steps > run.num_steps:
        raise InputError(
            f"schedule.warmup_steps={config.schedule.warmup_steps} must be between 0 and the length of the run, "
            f"run.num_steps={run.num_steps}"
        )
    if run.reset and not run.init_from:
        raise InputError(
            f"run.reset={','.join(run.reset)} is what not to take from run.init_from, which is not set; give "
            "`run.init_from`, or leave out `run.reset`"
        )
    for text in warnings(config):
        _warn(text)
    return config


def check_fields(config: BaseConfig, rules: Mapping[str, "Range | tuple[str, ...]"] | None = None) -> None:
    """Raises where a field by itself is wrong, whatever the others are.

    Args:
        config: of a run of any kind.
        rules: what the fields `section.field` may be, each element where they are tuples: numbers of a range, or one of
            some names. Those of pretraining by default.

    Raises:
        InputError: naming the first such field.
    """
    for path, rule in (RULES if rules is None else rules).items():
        section, field = path.split(".")
        value = getattr(getattr(config, section), field)
        for each in value if isinstance(value, tuple) else (value,):
            if not isinstance(rule, Range):
                if each not in rule:
                    raise InputError.unknown(path, each, rule)
            elif not math.isfinite(each):
                raise InputError(f"{path}={each} must be a finite number")
            elif each not in rule:
                raise InputError(f"{path}={each} must be {rule}")


def check_crops(crops: CropsConfig) -> None:
    """Raises where fields of the crops, each of them in its range, do not go together.

    Raises:
        InputError: naming the fields.
    """
    per_group = {len(crops.num), len(crops.sizes_px), len(crops.min_area_fractions), len(crops.max_area_fractions)}
    if len(per_group) != 1 or 0 in per_group:
        raise InputError(
            "crops.num, crops.sizes_px, crops.min_area_fractions and crops.max_area_fractions must have one value per "
            f"group of crops, but are {crops.num}, {crops.sizes_px}, {crops.min_area_fractions}, "
            f"{crops.max_area_fractions}"
        )
    for low, high in zip(crops.min_area_fractions, crops.max_area_fractions, strict=True):
        if low > high:
            raise InputError(
                f"a crop takes between 0 and 1 of the image's area, smaller first, but got {low} to {high}"
            )
    if list(crops.sizes_px) != sorted(crops.sizes_px, reverse=True):
        raise InputError(f"crops.sizes_px={crops.sizes_px} must have the largest first: those crops assign the codes")
    if crops.blur_min_sigma_px > crops.blur_max_sigma_px:
        raise InputError(
            f"crops.blur_min_sigma_px={crops.blur_min_sigma_px} is above crops.blur_max_sigma_px="
            f"{crops.blur_max_sigma_px}; change one of them"
        )
    for name, values in (("mean", crops.mean), ("std", crops.std)):
        if len(values) != 3:
            raise InputError(f"crops.{name}={values} must have three values: of red, green and blue")


def warnings(config: Config) -> list[str]:
    """Returns a sentence on each thing that the fields leave without effect, and that is right only on purpose.

    They are no errors: a few steps of a long recipe are how it is tried.
    """
    run, swav, schedule, batch = config.run, config.swav, config.schedule, config.data.global_batch_size
    queue_start = max(swav.queue_start_step, swav.queue_length // batch) if swav.queue_length else 0
    late = {
        f"the prototypes are frozen for {swav.freeze_prototypes_steps} (swav.freeze_prototypes_steps)": (
            swav.freeze_prototypes_steps
        ),
        f"the queue waits for {queue_start} (swav.queue_start_step, or until it is full)": queue_start,
        f"all but the head is frozen for {schedule.head_only_steps} (schedule.head_only_steps)": (
            schedule.head_only_steps
        ),
    }
    texts, rows = [], batch + swav.queue_length
    if parts := [text for text, steps in late.items() if steps >= run.num_steps]:
        texts.append(
            f"of the run's {run.num_steps} steps {', and '.join(parts)}; unless it is a trial, raise run.num_steps or "
            "lower those"
        )
    if config.head.num_prototypes > _MOST_PROTOTYPES_PER_ROW * rows:
        texts.append(
            f"head.num_prototypes={config.head.num_prototypes} is more than {_MOST_PROTOTYPES_PER_ROW} for each of "
            f"the {rows} images of batch and queue, which cannot use them all alike (SEER has 3.9); lower it, or raise "
            "data.global_batch_size or swav.queue_length"
        )
    return texts


def to_json(config: BaseConfig) -> dict[str, Any]:
    """Returns the config as a dictionary of plain values, for a file."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, Any], kind: type[AnyConfig]) -> AnyConfig:
    """Returns the config that `to_json` wrote.

    Args:
        values: what it wrote.
        kind: of the config.

    Raises:
        InputError: it is of a run of another kind, or a field is missing or unknown, as in the file of another version.
    """
    kinds = _sections(kind)
    try:
        return kind(recipe=values["recipe"], **{name: _section(kinds[name], values[name]) for name in kinds})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"the saved config is of another kind of run, or not of this version of seer_tf ({error}): use that one"
        ) from None


def to_text(config: BaseConfig) -> str:
    """Returns one line `section.field=value` per field, in the form that `override` reads."""
    return "\n".join(
        f"{section}.{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for section in _sections(type(config))
        for name, value in dataclasses.asdict(getattr(config, section)).items()
    )


def differences(one: AnyConfig, other: AnyConfig) -> list[str]:
    """Returns one text `section.field: value here, value there` for each field in which two configs differ."""
    texts = []
    for section in _sections(type(one)):
        left, right = getattr(one, section), getattr(other, section)
        for field in dataclasses.fields(left):
            ours, theirs = getattr(left, field.name), getattr(right, field.name)
            if ours != theirs:
                texts.append(f"{section}.{field.name}: {ours}, {theirs}")
    return texts


#: Where crops are coloured and blurred.
PLACES = ("host", "accelerator")
#: By which crops are resized, with antialias.
INTERPOLATIONS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
PARTS_TO_RESET = ("head", "prototypes", "queue", "optimizer", "schedule")
ON_TROUBLE = ("warn", "stop")
REDUCE_PRECISIONS = ("float32", "bfloat16", "float16")
ACTIVATION_CHECKPOINTING = ("none", "convolution", "block", "stage")

SCHEDULES = ("swav_cosine", "vissl_cosine", "constant", "constant_then_halve")
_MOST_PROTOTYPES_PER_ROW = 4


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `low` itself is not one of them where it is `excluded`."""

    low: float = 0
    high: float = math.inf
    excluded: bool = False

    def __contains__(self, value: float) -> bool:
        """Returns whether a number is one of them."""
        return self.low <= value <= self.high and not (self.excluded and value == self.low)

    def __str__(self) -> str:
        """Returns them in words."""
        if self.high == math.inf:
            return "above zero" if self.excluded else "zero or more"
        return (
            f"above {self.low:,} and at most {self.high:,}" if self.excluded else f"from {self.low:,} to {self.high:,}"
        )


ABOVE_ZERO, FROM_ZERO = Range(excluded=True), Range()
PROBABILITY, PORTION = Range(high=1), Range(high=1, excluded=True)
#: What crops and runs of every kind may be.
COMMON_CHECKS: dict[str, Range | tuple[str, ...]] = {
    "crops.num": ABOVE_ZERO,
    "crops.sizes_px": ABOVE_ZERO,
    "crops.min_area_fractions": PORTION,
    "crops.max_area_fractions": PORTION,
    "crops.interpolation": INTERPOLATIONS,
    "crops.flip_probability": PROBABILITY,
    "crops.color_jitter_probability": PROBABILITY,
    "crops.brightness": FROM_ZERO,
    "crops.contrast": FROM_ZERO,
    "crops.saturation": FROM_ZERO,
    "crops.hue": Range(high=0.5),
    "crops.grayscale_probability": PROBABILITY,
    "crops.blur_probability": PROBABILITY,
    "crops.blur_min_sigma_px": FROM_ZERO,
    "crops.blur_max_sigma_px": FROM_ZERO,
    "crops.mean": Range(low=-math.inf),
    "crops.std": ABOVE_ZERO,
    "run.num_steps": FROM_ZERO,
    "run.seed": Range(high=2**32 - 1),  # as Keras takes it
    "run.precision": PRECISIONS,
    "run.reduce_precision": REDUCE_PRECISIONS,
    "run.accumulation_steps": ABOVE_ZERO,
    "run.batch_norm_group_replicas": FROM_ZERO,
    "run.reset": PARTS_TO_RESET,
    "run.log_every_steps": ABOVE_ZERO,
    "run.examine_every_steps": ABOVE_ZERO,
    "run.checkpoint_every_steps": ABOVE_ZERO,
    "run.keep_checkpoints": ABOVE_ZERO,
    "run.keep_every_steps": FROM_ZERO,
    "run.on_trouble": ON_TROUBLE,
    "run.steps_per_call": ABOVE_ZERO,
}
RULES: dict[str, Range | tuple[str, ...]] = {
    **COMMON_CHECKS,
    "run.num_steps": ABOVE_ZERO,
    "data.global_batch_size": ABOVE_ZERO,
    "data.max_bad_fraction": PROBABILITY,
    "data.augment_on": PLACES,
    "backbone.stem_stride": ABOVE_ZERO,
    "backbone.activation_checkpointing": ACTIVATION_CHECKPOINTING,
    "head.hidden_dims": ABOVE_ZERO,
    "head.embedding_dim": ABOVE_ZERO,
    "head.num_prototypes": ABOVE_ZERO,
    "swav.temperature": ABOVE_ZERO,
    "swav.epsilon": ABOVE_ZERO,
    "swav.sinkhorn_iterations": ABOVE_ZERO,
    "swav.num_assigning_crops": ABOVE_ZERO,
    "swav.freeze_prototypes_steps": FROM_ZERO,
    "swav.queue_length": FROM_ZERO,
    "swav.queue_start_step": FROM_ZERO,
    "optimizer.momentum": PROBABILITY,
    "optimizer.weight_decay": FROM_ZERO,
    "optimizer.trust_coefficient": ABOVE_ZERO,
    "optimizer.epsilon": FROM_ZERO,
    "schedule.kind": SCHEDULES,
    "schedule.warmup_steps": FROM_ZERO,
    "schedule.warmup_start_learning_rate": FROM_ZERO,
    "schedule.peak_learning_rate": ABOVE_ZERO,
    "schedule.final_learning_rate": FROM_ZERO,
    "schedule.reference_batch_size": ABOVE_ZERO,
    "schedule.halving_window_steps": FROM_ZERO,
    "schedule.head_only_steps": FROM_ZERO,
}


@functools.cache
def _warn(text: str) -> None:
    logging.warning("%s", text)  # once, however often a config is looked at


def _sections(kind: type[BaseConfig]) -> dict[str, Any]:
    """Returns the types of the sections by name."""
    return {name: section for name, section in typing.get_type_hints(kind).items() if name != "recipe"}


def _section(kind: type, values: Mapping[str, Any]) -> Any:
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _parse(path: str, text: str, kind: Any) -> Any:
    try:
        if typing.get_origin(kind) is tuple:
            element = typing.get_args(kind)[0]
            return tuple(element(part) for part in text.split(",") if part.strip())
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        name = str(kind) if typing.get_origin(kind) else kind.__name__
        raise InputError(f"{path}={text!r} is not a {name}") from None
