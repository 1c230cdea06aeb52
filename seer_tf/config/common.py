"""What the configs of all kinds of run have in common: crops, and how the training loop runs."""

import dataclasses
from typing import ClassVar, TypeVar

from seer_tf.config.fields import ABOVE_ZERO, FROM_ZERO, PORTION, PROBABILITY, Range, check_fields, field
from seer_tf.errors import InputError

#: Interpolations for resizing crops, with antialiasing.
INTERPOLATIONS = ("bilinear", "bicubic")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "float64")
REDUCE_PRECISIONS = ("float32", "bfloat16", "float16")
PARTS_TO_RESET = ("head", "prototypes", "queue", "optimizer", "schedule")
ON_TROUBLE = ("warn", "stop")
ACTIVATION_CHECKPOINTING = ("none", "convolution", "block", "stage")
#: The one help of two fields.
ACTIVATION_CHECKPOINTING_HELP = (
    "What the backward pass computes again to save memory: what lies between convolutions, whole blocks, or whole "
    "stages."
)
_SIGMA_PX = Range(high=1000)


@dataclasses.dataclass(frozen=True)
class CropsConfig:
    """Multi-crop (SwAV, section 3.4): one value per group of crops of one size, the largest group first."""

    num: tuple[int, ...] = field((2, 4), "Crops of each image in each group.", within=ABOVE_ZERO)
    sizes_px: tuple[int, ...] = field((224, 96), "Side of the crops of each group.", within=ABOVE_ZERO, unit="px")
    min_area_fractions: tuple[float, ...] = field(
        (0.14, 0.05), "Smallest part of the image's area that a crop of each group takes.", within=PORTION
    )
    max_area_fractions: tuple[float, ...] = field(
        (1.0, 0.14), "Largest part of the image's area that a crop of each group takes.", within=PORTION
    )
    interpolation: str = field("bilinear", "Interpolation by which crops are resized.", within=INTERPOLATIONS)
    flip_probability: float = field(0.5, "Probability of a horizontal flip.", within=PROBABILITY)
    color_jitter_probability: float = field(
        0.8, "Probability that brightness, contrast, saturation and hue are changed.", within=PROBABILITY
    )
    brightness: float = field(0.8, "Largest change of the brightness factor, which is 1 without.", within=FROM_ZERO)
    contrast: float = field(0.8, "Largest change of the contrast factor, which is 1 without.", within=FROM_ZERO)
    saturation: float = field(0.8, "Largest change of the saturation factor, which is 1 without.", within=FROM_ZERO)
    hue: float = field(0.2, "Largest shift of the hue.", within=Range(high=0.5), unit="turns")
    grayscale_probability: float = field(0.2, "Probability that a crop becomes grey.", within=PROBABILITY)
    blur_probability: float = field(0.5, "Probability of a Gaussian blur.", within=PROBABILITY)
    blur_min_sigma_px: float = field(0.1, "Smallest standard deviation of the blur.", within=_SIGMA_PX, unit="px")
    blur_max_sigma_px: float = field(2.0, "Largest standard deviation of the blur.", within=_SIGMA_PX, unit="px")
    mean: tuple[float, ...] = field(
        (0.485, 0.456, 0.406),
        "Mean of red, green and blue, from 0 to 1, that is subtracted from each pixel.",
        within=Range(low=-float("inf")),
    )
    std: tuple[float, ...] = field(
        (0.229, 0.224, 0.225), "Standard deviation of red, green and blue that divides each pixel.", within=ABOVE_ZERO
    )

    def check(self) -> None:
        """Raises if fields do not go together.

        Raises:
            InputError: The text names the fields.
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
                    f"crops.min_area_fractions has {low} above crops.max_area_fractions, {high}, in the same group; a "
                    "crop takes a part of the image's area from the first to the second"
                )
        if list(self.sizes_px) != sorted(self.sizes_px, reverse=True):
            raise InputError(
                f"crops.sizes_px={self.sizes_px} must have the largest first: those crops assign the codes"
            )
        if self.blur_min_sigma_px > self.blur_max_sigma_px:
            raise InputError(
                f"crops.blur_min_sigma_px={self.blur_min_sigma_px} is above crops.blur_max_sigma_px="
                f"{self.blur_max_sigma_px}; change one of them"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3:
                raise InputError(f"crops.{name}={values} must have three values: for red, green and blue")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Length, seed, precision, starting point, and how often something is written."""

    num_steps: int = field(1000, "Length of the run.", within=ABOVE_ZERO, unit="steps")
    seed: int = field(
        0,
        "Seed of initial weights, image order and augmentation.",
        within=Range(high=2**32 - 1),  # as Keras takes it
    )
    precision: str = field("float32", "Precision of activations; with mixed_*, weights are float32.", within=PRECISIONS)
    reduce_precision: str = field(
        "float32", "Precision in which gradients are summed over the replicas.", within=REDUCE_PRECISIONS
    )
    accumulation_steps: int = field(
        1, "Parts into which each replica splits its images to save memory.", within=ABOVE_ZERO, unit="micro-batches"
    )
    batch_norm_group_replicas: int = field(
        0, "Replicas that share the statistics of batch normalisation; 0 for all.", within=FROM_ZERO, unit="replicas"
    )
    xla: bool = field(False, "Compile the step with XLA.")
    init_from: str = field("", "Run, checkpoint or converted model whose weights the run starts from.")
    reset: tuple[str, ...] = field((), "Parts that are not taken from run.init_from.", within=PARTS_TO_RESET)
    log_every_steps: int = field(50, "Interval of the log.", within=ABOVE_ZERO, unit="steps")
    examine_every_steps: int = field(
        500, "Interval of the expensive diagnostics: probe, pictures and histograms.", within=ABOVE_ZERO, unit="steps"
    )
    checkpoint_every_steps: int = field(500, "Interval of checkpoints.", within=ABOVE_ZERO, unit="steps")
    keep_checkpoints: int = field(2, "Newest checkpoints that are kept.", within=ABOVE_ZERO)
    keep_every_steps: int = field(
        0, "Checkpoints at multiples of this step are kept for good; 0 for none.", within=FROM_ZERO, unit="steps"
    )
    on_trouble: str = field("warn", "Reaction to a run that learns nothing.", within=ON_TROUBLE)
    steps_per_call: int = field(
        10, "Steps in one call of the compiled training function.", within=ABOVE_ZERO, unit="steps"
    )
    deterministic: bool = field(False, "Give the same bits in each run on one machine, at lower speed.")


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """What runs of every kind have: a recipe's name and the section `run`. All other fields are sections, too."""

    #: Kind of run, as `config.json` names it: "pretraining" or "finetuning".
    kind: ClassVar[str] = ""
    #: Pretraining method, as `config.json` names it; "" for runs of another kind.
    method: ClassVar[str] = ""

    recipe: str = ""
    run: RunConfig = RunConfig()

    def check(self) -> None:
        """Raises if a field is not allowed, or fields do not go together.

        Raises:
            InputError: The text names the field or fields.
        """
        check_fields(self)

    def warnings(self) -> list[str]:
        """Returns a sentence for each field that has no effect because of the others, which is no error."""
        return []


AnyConfig = TypeVar("AnyConfig", bound=BaseConfig)
