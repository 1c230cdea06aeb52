"""What a method adds to the rules of the recipe `auto`: the parts of its config that no other method has."""

from collections.abc import Sequence
from typing import Protocol

from seer_tf.config import PretrainingConfig
from seer_tf.pretraining.auto.choices import Choice, Choices, Facts

#: From this number of images on the papers' settings apply, below it those for small sets.
MANY_IMAGES = 100_000
#: Below this crop size the settings for small images apply.
SMALL_PX = 96
#: From this accuracy of colour histograms on, between chance (0) and 1, colour tells the classes of a set apart.
LEAST_COLOUR_SHARE = 0.35
COLOURS = ("crops.brightness", "crops.contrast", "crops.saturation", "crops.hue", "crops.grayscale_probability")
KEEPS_COLOUR = (0.3, 0.3, 0.2, 0.02, 0.0)


class MethodRules(Protocol):
    """The rules of one method.

    Attributes:
        kind: Type of the method's configs.
        batch: Largest number of images in a step, for each device.
        batch_source: Where this number comes from.
        has_view_correlation: Whether the view correlation decides on the distortion of colour.
    """

    kind: type[PretrainingConfig]
    batch: int
    batch_source: str
    has_view_correlation: bool

    def objective(self, choices: Choices, facts: Facts) -> Choices:
        """Returns the choices with heads, loss and weight decay; the batch is among the choices."""

    def crops(self, side: int, num_images: int) -> list[Choice]:
        """Returns number, sizes, areas and blur of the crops, the largest of which have `side` pixels."""

    def peak(self, steps: int, batch: int) -> Choice:
        """Returns the peak learning rate for a run of so many steps of so many images."""

    def warmup_steps(self, steps: int) -> Choice:
        """Returns the length of the warm-up for a run of so many steps."""

    def of_length(self, choices: Choices, facts: Facts) -> list[Choice]:
        """Returns what follows from the length and the peak learning rate, which are among the choices."""

    def distortions(self, choices: Choices, facts: Facts, colour_share: float = 0.0) -> list[Choices]:
        """Returns the choices with each distortion of colour to try, the strongest first.

        Args:
            choices: Choices of all other fields.
            facts: Facts about images, devices and time.
            colour_share: Accuracy of colour histograms on labelled images, from 0 (chance) to 1; 0 without labels.
        """


def coloured(choices: Choices, values: Sequence[float], reason: str) -> Choices:
    """Returns the choices with a distortion of colour; the reason stands at its first field.

    Args:
        choices: Choices of all other fields.
        values: Values of `COLOURS`.
        reason: The reason.
    """
    reasons = [reason, *["the same"] * (len(COLOURS) - 1)]
    return choices.added([Choice(*each) for each in zip(COLOURS, values, reasons, strict=True)])
