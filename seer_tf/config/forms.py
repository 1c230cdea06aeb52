"""Other forms of a config: assignments on a command line, typed values by field, lines of text, and JSON."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

from absl import logging

from seer_tf.config.common import AnyConfig, BaseConfig
from seer_tf.config.fields import Field, describe, sections
from seer_tf.errors import InputError, shorten

#: Kinds of run.
KINDS = ("pretraining", "finetuning")


def override(config: AnyConfig, assignments: Iterable[str]) -> AnyConfig:
    """Returns the config with fields replaced.

    Args:
        config: Config to start from.
        assignments: Texts `section.field=value`, e.g. `head.num_prototypes=100` or `crops.num=2,4`.

    Raises:
        InputError: The section or field does not exist, or the value has the wrong type.
    """
    return replace(config, parse(type(config), assignments))


def parse(kind: type[BaseConfig], assignments: Iterable[str]) -> dict[str, Any]:
    """Returns the assigned values by `section.field`. The last of several assignments to one field wins.

    Raises:
        InputError: An assignment has the wrong form, its section or field does not exist, or its value has the wrong
            type.
    """
    values = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not (equals and "." in path):
            raise InputError(
                f"{shorten(repr(assignment))} is not of the form section.field=value, e.g. run.num_steps=500"
            )
        values[path.strip()] = _find(kind, path.strip()).parse(text.strip())
    return values


def replace(config: AnyConfig, values: Mapping[str, Any]) -> AnyConfig:
    """Returns the config with the values of the fields `section.field` replaced."""
    parts: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, name = path.partition(".")
        parts.setdefault(section, {})[name] = value
    return dataclasses.replace(
        config, **{name: dataclasses.replace(getattr(config, name), **part) for name, part in parts.items()}
    )


def validate(config: AnyConfig) -> AnyConfig:
    """Checks a config, logs a warning for each field without effect, and returns the config unchanged.

    Raises:
        InputError: A value is not allowed, or fields contradict each other.
    """
    config.check()
    for text in config.warnings():
        _warn(text)
    return config


def to_texts(config: BaseConfig) -> dict[str, str]:
    """Returns the text of each value by `section.field`."""
    return {each.path: format_value(each.of(config)) for each in describe(type(config))}


def to_text(config: BaseConfig) -> str:
    """Returns one line `section.field=value` for each field, in the form that `override` reads."""
    return "\n".join(f"{path}={text}" for path, text in to_texts(config).items())


def format_value(value: Any) -> str:
    """Returns the text of a value as `override` reads it."""
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def differences(one: AnyConfig, other: AnyConfig) -> list[str]:
    """Returns a text `section.field: value here, value there` for each field in which two configs differ."""
    return [
        f"{each.path}: {each.of(one)}, {each.of(other)}"
        for each in describe(type(one))
        if each.of(one) != each.of(other)
    ]


def to_json(config: BaseConfig) -> dict[str, Any]:
    """Returns the config as a dictionary of plain values; `kind` and `method` say what kind of run it is for."""
    method = {"method": config.method} if config.method else {}
    return {"kind": config.kind, **method, **dataclasses.asdict(config)}


def read_kind(values: Mapping[str, Any]) -> str:
    """Returns the kind of run of a config that `to_json` wrote: "pretraining" or "finetuning".

    Raises:
        InputError: The kind is unknown.
    """
    # Runs of version 0.1.0 may lack the key.
    kind = str(values.get("kind", "finetuning" if "classifier" in values else "pretraining"))
    if kind not in KINDS:
        raise InputError.unknown("kind of run", kind, KINDS)
    return kind


def read_method(values: Mapping[str, Any]) -> str:
    """Returns the method of a pretraining config that `to_json` wrote; it need not be a known one."""
    return str(values.get("method", "swav"))  # version 0.1.0 wrote runs without it


def from_json(values: Mapping[str, Any], kind: type[AnyConfig]) -> AnyConfig:
    """Returns the config that `to_json` wrote. A field that was added later may be missing, and has its default.

    Args:
        values: Output of `to_json`.
        kind: Type of the config.

    Raises:
        InputError: The config is for another kind of run or another method, a field is missing or unknown (as in a file
            from another version), or a value is not allowed.
    """
    if (found := read_kind(values)) != kind.kind:
        raise InputError(f"this is a {found} run, and a {kind.kind} run is needed")
    if kind.method and (method := read_method(values)) != kind.method:
        raise InputError(f"this is a run of the method {shorten(method)}, and one of {kind.method} is needed")
    saved = {
        f"{section}.{name}": tuple(value) if isinstance(value, list) else value
        for section in sections(kind)
        for name, value in _section(values, section).items()
    }
    known = {each.path for each in describe(kind)}
    needed = {each.path for each in describe(kind) if not each.added_later}
    if differing := (saved.keys() - known) | (needed - saved.keys()):
        raise InputError(
            f"the saved config is from another version of seer_tf (fields that only one of the two has: "
            f"{shorten(', '.join(sorted(differing)))}); use the version that wrote it"
        )
    recipe = values.get("recipe", "")
    if not isinstance(recipe, str):
        raise InputError(f"the saved config has the recipe {shorten(repr(recipe))}, which is no name")
    config = replace(kind(recipe=recipe), saved)
    config.check()
    return config


def _section(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = values.get(name)
    if not isinstance(section, Mapping):
        raise InputError(f"the saved config has no section {name}")
    return section


def _find(kind: type[BaseConfig], path: str) -> Field:
    fields = {each.path: each for each in describe(kind)}
    if path not in fields:
        section, _, name = path.partition(".")
        if section not in sections(kind):
            raise InputError.unknown("section of the config", section, sections(kind))
        names = [each.name for each in fields.values() if each.section == section]
        raise InputError.unknown(f"field of {section}", name, names)
    return fields[path]


@functools.cache
def _warn(text: str) -> None:
    logging.warning("%s", text)  # only once, however often a config is checked
