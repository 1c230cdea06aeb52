"""JSON that this program writes and reads again: sealed with a checksum, and checked against types on reading.

The checksum is one of the values, so no second file can be lost. Files of earlier versions have none; their types are
checked all the same.
"""

import collections.abc
import dataclasses
import functools
import hashlib
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from seer_tf.errors import shorten

_CHECKSUM = "checksum"
_PLAIN = (bool, int, str)

T = TypeVar("T")


class DamagedJsonError(ValueError):
    """A text is not what this program writes. The message is the reason in a few words."""


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values with their checksum, for `json.dumps`."""
    return {**values, _CHECKSUM: _checksum(values)}


def text(values: Mapping[str, Any]) -> str:
    """Returns the content of a file with these values and their checksum, a value on each line."""
    return json.dumps(sealed(values), indent=2) + "\n"


def line(values: Mapping[str, Any]) -> str:
    """Returns the same on one line, without a line end."""
    return json.dumps(sealed(values))


def parse(content: bytes | str) -> dict[str, Any]:
    """Returns the values of a JSON object; the checksum is compared if there is one.

    Raises:
        DamagedJsonError: The content is not a JSON object, or differs from what was written.
    """
    try:
        values = json.loads(content)
        if not isinstance(values, dict):
            raise DamagedJsonError("it is not a JSON object")
        if _CHECKSUM in values and values.pop(_CHECKSUM) != _checksum(values):
            raise DamagedJsonError("its checksum differs")
    except DamagedJsonError:
        raise
    except (ValueError, RecursionError):
        raise DamagedJsonError("it is not JSON") from None
    return values


def read(content: bytes | str, kind: type[T]) -> T:
    """Returns the object that a text describes.

    Args:
        content: JSON with an object.
        kind: Type of the result, for example a dataclass, whose fields must be all that the object has.

    Raises:
        DamagedJsonError: The content is damaged, or has another form.
    """
    return typed(parse(content), kind)


def typed(value: Any, kind: Any, name: str = "the content") -> Any:
    """Returns a JSON value as an object of a type.

    Args:
        value: Value that `json.loads` returned.
        kind: `Any`, `bool`, `int`, `float`, `str`, `None`, a dataclass, or a tuple, dictionary or union of them.
        name: Name of the value for the message.

    Raises:
        DamagedJsonError: The value has another type, or a dataclass refuses its fields.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return _one_of(value, inner, name)
    if dataclasses.is_dataclass(kind):
        return _object(value, kind, name)
    if kind is dict or origin in (dict, collections.abc.Mapping):
        return _mapping(value, inner or (str, Any), name)
    if origin is tuple:
        return _tuple(value, inner, name)
    return _plain(value, kind, name)


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _wrong(value: Any, kind: Any, name: str) -> DamagedJsonError:
    return DamagedJsonError(f"{name} is {shorten(repr(value))} and not {getattr(kind, '__name__', kind)}")


def _plain(value: Any, kind: Any, name: str) -> Any:
    if kind is types.NoneType and value is None:
        return None
    if kind is float and type(value) in (int, float) and not abs(value) > sys.float_info.max:
        return float(value)
    if kind in _PLAIN and type(value) is kind:
        return value
    raise _wrong(value, kind, name)


def _one_of(value: Any, kinds: Sequence[Any], name: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return typed(value, kind, name)
        except DamagedJsonError:
            continue
    return typed(value, kinds[-1], name)


def _mapping(value: Any, kinds: Sequence[Any], name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, dict, name)
    return {key: typed(each, kinds[1], key) for key, each in value.items()}


def _tuple(value: Any, kinds: Sequence[Any], name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(value, list, name)
    if kinds[-1] is not Ellipsis:
        if len(value) != len(kinds):
            raise DamagedJsonError(f"{name} has {len(value)} values and not {len(kinds)}")
        return tuple(typed(each, kind, name) for each, kind in zip(value, kinds, strict=True))
    if kinds[0] in _PLAIN and {*map(type, value)} <= {kinds[0]}:  # the same, faster
        return tuple(value)
    return tuple(typed(each, kinds[0], name) for each in value)


def _object(value: Any, kind: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(value, dict, name)
    known, needed = _fields(kind)
    if differing := (value.keys() - known.keys()) | (needed - value.keys()):
        raise DamagedJsonError(f"{name} lacks or does not know {shorten(', '.join(sorted(differing)))}")
    try:
        return kind(**{key: typed(each, known[key], key) for key, each in value.items()})
    except DamagedJsonError:
        raise
    except (ValueError, ArithmeticError) as error:
        raise DamagedJsonError(str(error)) from None


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], set[str]]:
    """Returns the types of a dataclass's fields by name, and the names of those without a default."""
    known = typing.get_type_hints(kind)
    each = dataclasses.fields(kind)
    missing = dataclasses.MISSING
    needed = {field.name for field in each if field.default is missing and field.default_factory is missing}
    return {field.name: known[field.name] for field in each}, needed
