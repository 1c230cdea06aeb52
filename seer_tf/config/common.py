"""Config sections that every kind of run shares: the crops and the training loop."""

import dataclasses
from typing import ClassVar, TypeVar

from seer_tf.config.fields import ABOVE_ZERO, FROM_ZERO, PORTION, PROBABILITY, Range, check_fields, field
from seer_tf.errors import InputError

#: Interpolations for resizing crops, with antialiasing.
INTERPOLATIONS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
REDUCE_PRECISIONS = ("float32", "bfloat16", "float16")
PARTS_TO_RESET = ("head", "prototypes", "queue", "optimizer", "schedule")
ON_TROUBLE = ("warn", "stop", "recover")
ACTIVATION_CHECKPOINTING = ("none", "convolution", "block", "stage")
#: Help text of two fields.
ACTIVATION_CHECKPOINTING_HELP = (
    "What the backward pass recomputes to save memory: the layers between convolutions, whole blocks, or whole stages."
)
_SIGMA_PX = Range(high=1000)


@dataclasses.dataclass(frozen=True)
class CropsConfig:
    """Multi-crop (SwAV, section 3.4). A group is all crops of one size, and the largest crops are the first group."""

    num: tuple[int, ...] = field((2, 4), "Number of crops per image, for each group.", within=ABOVE_ZERO)
    sizes_px: tuple[int, ...] = field((224, 96), "Side of the crops, for each group.", within=ABOVE_ZERO, unit="px")
    min_area_fractions: tuple[float, ...] = field(
        (0.14, 0.05), "Smallest fraction of the image's area that a crop covers, for each group.", within=PORTION
    )
    max_area_fractions: tuple[float, ...] = field(
        (1.0, 0.14), "Largest fraction of the image's area that a crop covers, for each group.", within=PORTION
    )
    interpolation: str = field("bilinear", "Interpolation by which crops are resized.", within=INTERPOLATIONS)
    padded: bool = field(
        False,
        "Whether smaller crops get zeros to the right and below and go through the network together with the largest.",
        added_later=True,
    )
    flip_probability: float = field(0.5, "Probability of a horizontal flip.", within=PROBABILITY)
    color_jitter_probability: float = field(
        0.8, "Probability that brightness, contrast, saturation and hue are changed.", within=PROBABILITY
    )
    brightness: float = field(0.8, "Largest deviation of the brightness factor from 1.", within=FROM_ZERO)
    contrast: float = field(0.8, "Largest deviation of the contrast factor from 1.", within=FROM_ZERO)
    saturation: float = field(0.8, "Largest deviation of the saturation factor from 1.", within=FROM_ZERO)
    hue: float = field(0.2, "Largest shift of the hue.", within=Range(high=0.5), unit="turns")
    grayscale_probability: float = field(0.2, "Probability that a crop becomes grey.", within=PROBABILITY)
    blur_probability: float = field(0.5, "Probability of a Gaussian blur.", within=PROBABILITY)
    blur_min_sigma_px: float = field(0.1, "Smallest standard deviation of the blur.", within=_SIGMA_PX, unit="px")
    blur_max_sigma_px: float = field(2.0, "Largest standard deviation of the blur.", within=_SIGMA_PX, unit="px")
    solarize_probability: float = field(
        0.0, "Probability that the brighter half of the levels is inverted.", within=PROBABILITY, added_later=True
    )
    view_blur_probabilities: tuple[float, ...] = field(
        (),
        "Probability of a blur for each of an image's first crops, in place of blur_probability.",
        within=PROBABILITY,
        added_later=True,
    )
    view_solarize_probabilities: tuple[float, ...] = field(
        (),
        "Probability of solarisation for each of an image's first crops, in place of solarize_probability.",
        within=PROBABILITY,
        added_later=True,
    )
    mean: tuple[float, ...] = field(
        (0.485, 0.456, 0.406),
        "Mean of the red, green and blue channel, subtracted from pixel values between 0 and 1.",
        within=Range(low=-float("inf")),
    )
    std: tuple[float, ...] = field(
        (0.229, 0.224, 0.225),
        "Standard deviation of the red, green and blue channel, by which pixel values are divided.",
        within=ABOVE_ZERO,
    )

    @property
    def forward_sizes_px(self) -> tuple[int, ...]:
        """Sides of the images that the network sees, one for each group."""
        return (max(self.sizes_px),) * len(self.sizes_px) if self.padded else self.sizes_px

    @property
    def num_forwards(self) -> int:
        """Number of passes of the network over the crops of a batch."""
        return 1 if self.padded else len(self.sizes_px)

    @property
    def has_views(self) -> bool:
        """Whether the crops of an image have probabilities of their own."""
        return bool(self.view_blur_probabilities or self.view_solarize_probabilities)

    @property
    def solarizes(self) -> bool:
        """Whether any crop can be solarised."""
        return any((self.solarize_probability, *self.view_solarize_probabilities))

    def of_view(self, number: int) -> "CropsConfig":
        """Returns the config in which the probabilities of one crop of an image are those of all crops.

        Args:
            number: Number of the crop among all crops of an image, from zero.
        """

        def own(of_views: tuple[float, ...], of_all: float) -> float:
            return of_views[number] if number < len(of_views) else of_all

        return dataclasses.replace(
            self,
            blur_probability=own(self.view_blur_probabilities, self.blur_probability),
            solarize_probability=own(self.view_solarize_probabilities, self.solarize_probability),
            view_blur_probabilities=(),
            view_solarize_probabilities=(),
        )

    def check(self) -> None:
        """Raises an error if fields contradict each other.

        Raises:
            InputError: Fields contradict each other; the message names them.
        """
        groups = (self.num, self.sizes_px, self.min_area_fractions, self.max_area_fractions)
        if len({len(values) for values in groups}) != 1 or not self.num:
            raise InputError(
                "crops.num, crops.sizes_px, crops.min_area_fractions and crops.max_area_fractions must have one value "
                f"per group of crops, but are {', '.join(map(str, groups))}"
            )
        for low, high in zip(self.min_area_fractions, self.max_area_fractions, strict=True):
            if low > high:
                raise InputError(
                    f"crops.min_area_fractions has {low} and crops.max_area_fractions has {high} for the same group; "
                    "the smallest fraction must not be above the largest"
                )
        if list(self.sizes_px) != sorted(self.sizes_px, reverse=True):
            raise InputError(
                f"crops.sizes_px={self.sizes_px} must start with the largest size: the largest crops assign the codes"
            )
        if self.blur_min_sigma_px > self.blur_max_sigma_px:
            raise InputError(
                f"crops.blur_min_sigma_px={self.blur_min_sigma_px} is above crops.blur_max_sigma_px="
                f"{self.blur_max_sigma_px}; change one of them"
            )
        for name in ("view_blur_probabilities", "view_solarize_probabilities"):
            if len(getattr(self, name)) > sum(self.num):
                raise InputError(
                    f"crops.{name}={getattr(self, name)} has more values than an image has crops, {sum(self.num)}; "
                    "leave out the last ones"
                )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3:
                raise InputError(f"crops.{name}={values} must have three values, one each for red, green and blue")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Length, seed, precision, starting point, and how often something is written."""

    num_steps: int = field(1000, "Length of the run.", within=ABOVE_ZERO, unit="steps")
    seed: int = field(
        0,
        "Seed of initial weights, image order and augmentation.",
        within=Range(high=2**32 - 1),  # as Keras takes it
    )
    precision: str = field("float32", "Precision of activations. With mixed_*, weights are float32.", within=PRECISIONS)
    reduce_precision: str = field(
        "float32", "Precision in which gradients are summed over the replicas.", within=REDUCE_PRECISIONS
    )
    accumulation_steps: int = field(
        1,
        "Number of micro-batches into which each replica splits its images to save memory.",
        within=ABOVE_ZERO,
        unit="micro-batches",
    )
    batch_norm_group_replicas: int = field(
        0,
        "Number of replicas that share batch normalisation statistics; 0 for all replicas.",
        within=FROM_ZERO,
        unit="replicas",
    )
    xla: bool = field(False, "Compile the step with XLA.")
    init_from: str = field("", "Run, checkpoint or converted model whose weights the run starts from.")
    reset: tuple[str, ...] = field((), "Parts that are not taken from run.init_from.", within=PARTS_TO_RESET)
    log_every_steps: int = field(50, "Interval between log lines.", within=ABOVE_ZERO, unit="steps")
    examine_every_steps: int = field(
        500,
        "Interval between the expensive diagnostics: probe, pictures and histograms.",
        within=ABOVE_ZERO,
        unit="steps",
    )
    checkpoint_every_steps: int = field(500, "Interval between checkpoints.", within=ABOVE_ZERO, unit="steps")
    keep_checkpoints: int = field(2, "Number of newest checkpoints to keep.", within=ABOVE_ZERO)
    keep_every_steps: int = field(
        0, "Checkpoints at multiples of this step are never deleted; 0 for none.", within=FROM_ZERO, unit="steps"
    )
    on_trouble: str = field(
        "warn",
        "Reaction to a run that learns nothing: a warning, an end, or a new start with other settings, twice at most.",
        within=ON_TROUBLE,
    )
    steps_per_call: int = field(
        10, "Steps in one call of the compiled training function.", within=ABOVE_ZERO, unit="steps"
    )
    deterministic: bool = field(False, "Make runs on one machine repeatable bit for bit, at lower speed.")


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """Config fields of every kind of run: the recipe's name and the section `run`. All other fields are sections."""

    #: Kind of run, as `config.json` names it: "pretraining" or "finetuning".
    kind: ClassVar[str] = ""
    #: Pretraining method, as `config.json` names it; "" for runs of another kind.
    method: ClassVar[str] = ""

    recipe: str = ""
    run: RunConfig = RunConfig()

    def check(self) -> None:
        """Raises an error if a value is not allowed or fields contradict each other.

        Raises:
            InputError: A value is not allowed, or fields contradict each other; the message names the fields.
        """
        check_fields(self)

    def warnings(self) -> list[str]:
        """Returns a sentence for each field that has no effect because of other fields. This is not an error."""
        return []


AnyConfig = TypeVar("AnyConfig", bound=BaseConfig)
