"""Fields of a config. Each field declares its default, help, allowed values and unit in one place.

A config is a frozen dataclass of sections, and a section is a frozen dataclass whose fields `field` declares:

    num_prototypes: int = field(3000, "Number of prototypes.", within=Range(low=2))
"""

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from seer_tf.errors import InputError, shorten

#: The product of two fields, such as a number of images, then fits into 64 bits.
_LARGEST_INTEGER = 2**31 - 1
#: Squares of these numbers fit into float32, in which networks compute: no setting becomes zero or infinite there.
_SMALLEST_SIZE, _LARGEST_SIZE = 1e-18, 1e18
_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "one line of text"}

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`. With `excluded`, `low` itself is not in the range."""

    low: float = 0
    high: float = math.inf
    excluded: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a number is in the range."""
        return self.low <= value <= self.high and not (self.excluded and value == self.low)

    def __str__(self) -> str:
        """Returns the range in words."""
        if self.low == -math.inf:
            return "any number"
        if self.high == math.inf:
            if self.low:
                return f"{self.low:,} or more"
            return "above zero" if self.excluded else "zero or more"
        return (
            f"above {self.low:,} and at most {self.high:,}" if self.excluded else f"from {self.low:,} to {self.high:,}"
        )


ABOVE_ZERO, FROM_ZERO = Range(excluded=True), Range()
PROBABILITY, PORTION = Range(high=1), Range(high=1, excluded=True)


def field(
    default: T, help: str, *, within: Range | tuple[str, ...] | None = None, unit: str = "", added_later: bool = False
) -> T:
    """Declares a field of a section.

    Args:
        default: Default value: a bool, int, float or str, or a tuple of them.
        help: What the field means, as a sentence.
        within: Range of a number, or choices of a text. It applies to each element of a tuple. None allows any value
            of the type.
        unit: Unit of a number, e.g. "px".
        added_later: Whether files of earlier versions lack the field; its default then does what those versions did.
    """
    metadata = {"help": help, "within": within, "unit": unit, "added_later": added_later}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a config.

    Attributes:
        section: Name of the section that the field is in.
        name: Name of the field in the section.
        type: `int`, `float`, `bool`, `str`, or a tuple type such as `tuple[int, ...]`.
        default: Value in a config that sets nothing.
        help: What the field means.
        within: Range of a number, choices of a text, or None.
        unit: Unit of a number, or "".
        added_later: Whether files of earlier versions lack the field.
    """

    section: str
    name: str
    type: Any
    default: Any
    help: str
    within: Range | tuple[str, ...] | None
    unit: str
    added_later: bool

    @property
    def path(self) -> str:
        """Returns the name of the field on the command line: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def is_tuple(self) -> bool:
        """Whether the value is a tuple."""
        return typing.get_origin(self.type) is tuple

    @property
    def element_type(self) -> Any:
        """Returns the type of each element of a tuple, or of the value itself."""
        return typing.get_args(self.type)[0] if self.is_tuple else self.type

    def of(self, config: Any) -> Any:
        """Returns the value of the field in a config."""
        return getattr(getattr(config, self.section), self.name)

    def parse(self, text: str) -> Any:
        """Returns the value that a text stands for. Commas separate the elements of a tuple.

        Raises:
            InputError: The text is not a value of the field's type.
        """
        try:
            if self.is_tuple:
                return tuple(_parse(self.element_type, part.strip()) for part in text.split(",") if part.strip())
            return _parse(self.type, text)
        except (KeyError, ValueError):
            raise self._wrong_type(repr(text)) from None

    def check(self, value: Any) -> None:
        """Raises an error if a value is not allowed, whatever the values of the other fields.

        Raises:
            InputError: The value has the wrong type, or is outside the range or the choices.
        """
        if isinstance(value, tuple) != self.is_tuple:
            raise self._wrong_type(value)
        for element in value if self.is_tuple else (value,):
            if not _is_a(self.element_type, element):
                raise self._wrong_type(element)
            self._check_element(element)

    def _check_element(self, value: Any) -> None:
        shown = f"{self.path}={shorten(value)}"
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{shown} must be a finite number")
        if isinstance(self.within, tuple) and value not in self.within:
            raise InputError.unknown(self.path, value, self.within)
        if isinstance(self.within, Range):
            if value not in self.within:
                raise InputError(f"{shown} must be {self.within}")
            if isinstance(value, int) and value > _LARGEST_INTEGER and self.within.high == math.inf:
                raise InputError(f"{shown} must be at most {_LARGEST_INTEGER:,}")
        if self.element_type is float and value and not _SMALLEST_SIZE <= abs(value) <= _LARGEST_SIZE:
            raise InputError(
                f"{shown} must be zero or of a size from {_SMALLEST_SIZE:g} to {_LARGEST_SIZE:g}, as float32 computes "
                "with it"
            )

    def _wrong_type(self, value: object) -> InputError:
        name = _TYPE_NAMES[self.element_type]
        wanted = f"{name}, or several separated by commas" if self.is_tuple else name
        return InputError(f"{self.path}={shorten(value)} must be {wanted}")


def describe(kind: type) -> tuple[Field, ...]:
    """Returns all fields of a kind of config, e.g. of `Config`, in the order of their declaration."""
    return _describe(kind)


@functools.cache
def _describe(kind: Any) -> tuple[Field, ...]:
    defaults = kind()
    return tuple(
        Field(
            section=section,
            name=each.name,
            type=each.type,
            default=getattr(getattr(defaults, section), each.name),
            **each.metadata,
        )
        for section, section_type in sections(kind).items()
        for each in dataclasses.fields(section_type)
    )


def sections(kind: type) -> Mapping[str, Any]:
    """Returns the types of a config's sections by name."""
    return {each.name: each.type for each in dataclasses.fields(kind) if dataclasses.is_dataclass(each.type)}


def check_fields(config: Any) -> None:
    """Raises an error if the value of a field is not allowed, whatever the values of the other fields.

    Raises:
        InputError: A value is not allowed; the message names the first such field.
    """
    for each in describe(type(config)):
        each.check(each.of(config))


def _parse(kind: Any, text: str) -> Any:
    if kind is bool:
        return {"true": True, "false": False}[text.lower()]
    return kind(text)


def _is_a(kind: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is str:  # a config as text has one line per field, and paths contain no null character
        return isinstance(value, str) and value.splitlines() in ([], [value]) and "\0" not in value
    return isinstance(value, (int, float) if kind is float else kind)
