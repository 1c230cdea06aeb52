"""The text of `--help`: the purpose of a command, its required flags and its optional flags."""

import shutil
import sys
import textwrap
from collections.abc import Container
from types import ModuleType

from absl import flags

_COLUMN, _MOST_COLUMNS = 24, 100


def text(name: str, module: ModuleType, required: Container[str], words: flags.FlagHolder | None) -> str:
    """Returns the description of a command.

    Args:
        name: Name of the command.
        module: Module that defines the command's flags; its docstring says what the command is for.
        required: Names of flags that must be given.
        words: Flag that receives words given without a flag.
    """
    own = flags.FLAGS.get_key_flags_for_module(module)
    groups: dict[str, list[flags.Flag]] = {"Required": []}
    for flag in own:
        groups.setdefault("Required" if flag.name in required else _heading(flag, module), []).append(flag)
    example = [name, *(f"--{flag.name}={flag.name.upper()}" for flag in groups["Required"]), "[flags]"]
    if words is not None:
        more = " …" if isinstance(flags.FLAGS[words.name], flags.MultiFlag) else ""
        example.insert(1, f"[{words.name.upper()}{more}]")
    parts = [(module.__doc__ or "").strip(), f"usage: {_folded(' '.join(example), len('usage: '))}"]
    parts += ["\n".join([f"{heading}:", *map(_entry, group)]) for heading, group in groups.items() if group]
    return "\n\n".join(parts)


def kind(parser: flags.ArgumentParser) -> str:
    """Returns a description of a flag's values, e.g. "a positive integer"; empty if any text is allowed."""
    if isinstance(parser, flags.BooleanParser):
        return "true or false"
    article = {"number": "a ", "integer": "an "}.get(parser.syntactic_help.partition(" ")[0], "")
    return article + parser.syntactic_help


def _heading(flag: flags.Flag, module: ModuleType) -> str:
    """Returns the title of a flag's group. A module that commands share has its docstring's first line as title."""
    origin = sys.modules.get(flags.FLAGS.find_module_defining_flag(flag.name) or "", module)
    if origin is module:
        return "Optional"
    return (origin.__doc__ or origin.__name__).partition("\n")[0].rstrip(".")


def _entry(flag: flags.Flag) -> str:
    title, about = f"  --{flag.name}", " " * _COLUMN + _folded(_about(flag), _COLUMN)
    return title + about[len(title) :] if len(title) < _COLUMN - 1 else f"{title}\n{about}"


def _about(flag: flags.Flag) -> str:
    """Returns the help of a flag, with its kind of values and its default if they are informative."""
    parser, default = flag.parser, flag.default
    parts = [flag.help.partition(";\n")[0]]  # after ";\n" absl adds that a flag may be repeated
    if isinstance(parser, flags.EnumParser):
        values = parser.enum_values
        parts = [flag.help.removeprefix(f"<{'|'.join(values)}>: "), f"One of {', '.join(values)}."]
    elif not isinstance(parser, flags.BooleanParser) and kind(parser):
        parts.append(f"({kind(parser)})")
    if not parts[0].endswith("]") and default is not None and default is not False and default != []:
        parts.append(f"[{','.join(default) if isinstance(default, list) else default}]")
    return " ".join(parts)


def _folded(line: str, column: int) -> str:
    """Returns a line that starts at a column, wrapped at the width of the terminal."""
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS) - column
    lines = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return ("\n" + " " * column).join(lines)
