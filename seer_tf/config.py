"""What defines a run: frozen dataclasses, typed overrides, and their JSON form.

A `Config` is complete: together with the images it determines a run. It knows nothing of TensorFlow. Units are part of
the names (`_px`, `_steps`, `_fractions`); what is global says so. Values and their sources are in `recipes.py`.
"""

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

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
    """A RegNetY by the name of its design in `models/regnet_design.py`."""

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
    """Returns the config unchanged, if its fields agree with each other.

    Raises:
        InputError: a count, size, fraction or probability is out of its range, or the crop groups do not match.
    """
    crops, swav = config.crops, config.swav
    per_group = {len(crops.num), len(crops.sizes_px), len(crops.min_area_fractions), len(crops.max_area_fractions)}
    if len(per_group) != 1 or 0 in per_group:
        raise InputError(
            "crops.num, crops.sizes_px, crops.min_area_fractions and crops.max_area_fractions must have one value per "
            f"group of crops, but are {crops.num}, {crops.sizes_px}, {crops.min_area_fractions}, "
            f"{crops.max_area_fractions}"
        )
    for low, high in zip(crops.min_area_fractions, crops.max_area_fractions, strict=True):
        if not 0 < low <= high <= 1:
            raise InputError(
                f"a crop takes between 0 and 1 of the image's area, smaller first, but got {low} to {high}"
            )
    if not 1 <= swav.num_assigning_crops <= crops.num[0]:
        raise InputError(
            f"swav.num_assigning_crops={swav.num_assigning_crops} must be between 1 and crops.num's first, "
            f"{crops.num[0]}"
        )
    if sum(crops.num) < 2:
        raise InputError("swapped prediction needs at least two crops of an image; raise crops.num")
    if crops.interpolation not in INTERPOLATIONS:
        raise InputError.unknown("crops.interpolation", crops.interpolation, INTERPOLATIONS)
    if config.data.augment_on not in PLACES:
        raise InputError.unknown("data.augment_on", config.data.augment_on, PLACES)
    if not 0 <= config.data.max_bad_fraction < 1:
        raise InputError(f"data.max_bad_fraction={config.data.max_bad_fraction} must be from 0 to below 1")
    if config.run.precision not in PRECISIONS:
        raise InputError.unknown("run.precision", config.run.precision, PRECISIONS)
    for part in config.run.reset:
        if part not in PARTS_TO_RESET:
            raise InputError.unknown("part to reset", part, PARTS_TO_RESET)
    if config.run.on_trouble not in ON_TROUBLE:
        raise InputError.unknown("run.on_trouble", config.run.on_trouble, ON_TROUBLE)
    if config.run.reduce_precision not in REDUCE_PRECISIONS:
        raise InputError.unknown("run.reduce_precision", config.run.reduce_precision, REDUCE_PRECISIONS)
    if config.backbone.activation_checkpointing not in ACTIVATION_CHECKPOINTING:
        kind = config.backbone.activation_checkpointing
        raise InputError.unknown("backbone.activation_checkpointing", kind, ACTIVATION_CHECKPOINTING)
    if config.run.batch_norm_group_replicas < 0:
        raise InputError(
            f"run.batch_norm_group_replicas={config.run.batch_norm_group_replicas} must be a number of replicas, or 0 "
            "for all of them"
        )
    if config.data.global_batch_size % max(1, config.run.accumulation_steps):
        raise InputError(
            f"data.global_batch_size={config.data.global_batch_size} must be a multiple of "
            f"run.accumulation_steps={config.run.accumulation_steps}; change one of them"
        )
    if swav.queue_length < 0 or swav.queue_length % config.data.global_batch_size:
        raise InputError(
            f"swav.queue_length={swav.queue_length} must be a multiple of "
            f"data.global_batch_size={config.data.global_batch_size}, or 0 for no queue"
        )
    for path in _POSITIVE:
        section, field = path.split(".")
        value = getattr(getattr(config, section), field)
        if min(value if isinstance(value, tuple) else (value,), default=1) <= 0:
            raise InputError(f"{path}={value} must be above zero")
    return config


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

_POSITIVE = (
    "data.global_batch_size",
    "crops.num",
    "crops.sizes_px",
    "head.hidden_dims",
    "head.embedding_dim",
    "head.num_prototypes",
    "swav.temperature",
    "swav.epsilon",
    "swav.sinkhorn_iterations",
    "schedule.reference_batch_size",
    "run.num_steps",
    "run.accumulation_steps",
    "run.log_every_steps",
    "run.examine_every_steps",
    "run.checkpoint_every_steps",
    "run.keep_checkpoints",
    "run.steps_per_call",
)


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
