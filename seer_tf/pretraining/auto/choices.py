"""Choices of the recipe `auto`: values of config fields with their reasons, and the facts that they follow from."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig

NAME = "auto"


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


@dataclasses.dataclass(frozen=True)
class Choices:
    """Choices for the config of a method.

    Attributes:
        kind: Type of the config.
        made: The choices, one for each field at most.
    """

    kind: type[PretrainingConfig]
    made: tuple[Choice, ...] = ()

    def __iter__(self) -> Iterator[Choice]:
        """Returns an iterator over the choices."""
        return iter(self.made)

    @functools.cached_property
    def config(self) -> Any:
        """The default config of the method with the chosen values; it is not checked."""
        return configs.replace(self.kind(recipe=NAME), {choice.field: choice.value for choice in self.made})

    @property
    def own(self) -> set[str]:
        """The fields that the user has set."""
        return {choice.field for choice in self.made if choice.is_own}

    def added(self, new: Sequence[Choice]) -> "Choices":
        """Returns the choices with new ones. A new choice replaces one for its field, unless that is the user's own."""
        fields = {choice.field for choice in new}
        kept = [choice for choice in self.made if choice.is_own or choice.field not in fields]
        return Choices(self.kind, (*kept, *(choice for choice in new if choice.field not in self.own)))
