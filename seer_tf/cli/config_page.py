"""Prints the reference page of all config fields: `python -m seer_tf.cli.config_page > docs/reference/config.md`."""

import inspect
from collections.abc import Iterator

from seer_tf.config.common import BaseConfig
from seer_tf.config.fields import Field, Range, describe, sections
from seer_tf.config.forms import format_value
from seer_tf.config.pretraining import Config, PretrainingConfig
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.methods.byol.config import ByolConfig
from seer_tf.methods.moco.config import MocoConfig
from seer_tf.methods.simclr.config import SimclrConfig

_HEAD = """# Config fields

`--set section.field=value` sets a field of a run. `--show_config` prints all fields. Commas separate several values.
The code makes this page: `python -m seer_tf.cli.config_page > docs/reference/config.md`.
"""
_TITLES: dict[type[BaseConfig], str] = {
    Config: "Pretraining",
    SimclrConfig: "Pretraining with SimCLR",
    MocoConfig: "Pretraining with MoCo",
    ByolConfig: "Pretraining with BYOL",
    FinetuneConfig: "Fine-tuning",
}
_AS_SWAV = "The sections {names} have the same fields as above. Some defaults differ, and `--show_config` shows them.\n"


def page() -> str:
    """Returns the page as Markdown: a table of fields for each section of each kind of config."""
    return "\n".join([_HEAD, *(line for kind in _TITLES for line in _chapter(kind))])


def _chapter(kind: type[BaseConfig]) -> Iterator[str]:
    yield f"## {_TITLES[kind]}\n"
    shared = _shared_with_swav(kind)
    if shared:
        yield _AS_SWAV.format(names=", ".join(f"`{name}`" for name in shared))
    for name, section in sections(kind).items():
        if name in shared:
            continue
        yield f"### `{name}` in {_in_sentence(_TITLES[kind])}\n"
        yield f"{inspect.cleandoc(section.__doc__)}\n"
        yield "| field | default | values | unit | meaning |\n|---|---|---|---|---|"
        yield from (_row(each) for each in describe(kind) if each.section == name)
        yield ""


def _shared_with_swav(kind: type[BaseConfig]) -> list[str]:
    """Returns the sections of another method that have SwAV's fields."""
    if kind is Config or not issubclass(kind, PretrainingConfig):
        return []
    return [name for name, section in sections(kind).items() if section is sections(Config).get(name)]


def _in_sentence(title: str) -> str:
    return title[0].lower() + title[1:]


def _row(field: Field) -> str:
    default = f"`{text}`" if (text := format_value(field.default)) else ""
    return f"| `{field.name}` | {default} | {_values(field)} | {field.unit} | {field.help} |"


def _values(field: Field) -> str:
    if isinstance(field.within, tuple):
        return ", ".join(f"`{choice}`" for choice in field.within)
    if isinstance(field.within, Range):
        number = "whole number" if field.element_type is int else "number"
        return f"{number}{'s' if field.is_tuple else ''}, {field.within}"
    return "`True`, `False`" if field.type is bool else "text"


if __name__ == "__main__":
    print(page(), end="")
