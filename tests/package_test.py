"""The installed package: all data files are in the wheel, and a flag has the same type in every command."""

import ast
import collections
import configparser
import fnmatch
import pathlib

from tests.places import ROOT

_NUMBERS = ("DEFINE_integer", "DEFINE_float", "DEFINE_bool", "DEFINE_list")


def test_a_wheel_has_every_file_of_the_package() -> None:
    """Every file except Python files must match a pattern in `setup.cfg`."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    patterns = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, lines in config["options.package_data"].items()
        for pattern in lines.split()
    ]
    files = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "seer_tf").rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    left_out = {
        file
        for file in files
        if not any(file.count("/") == each.count("/") and fnmatch.fnmatch(file, each) for each in patterns)
    }
    assert files and not left_out


def test_no_command_reads_a_file_beside_the_package() -> None:
    for file in (ROOT / "seer_tf").rglob("*.py"):
        assert "parents[" not in file.read_text("utf-8"), file


def test_a_flag_has_the_same_type_in_all_commands() -> None:
    kinds: dict[str, set[str]] = collections.defaultdict(set)
    for folder in ("seer_tf/cli", "benchmarks"):
        for file in (ROOT / folder).rglob("*.py"):
            for name, kind in _flags(file):
                kinds[name].add(kind if kind in _NUMBERS else "text")
    assert kinds["data"] and kinds["seed"] == {"DEFINE_integer"}
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


def _flags(file: pathlib.Path) -> list[tuple[str, str]]:
    """Returns the name and the type of each flag that a file defines."""
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [
        (call.args[0].value, call.func.attr)
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr.startswith("DEFINE_")
        and call.func.attr != "DEFINE_alias"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]
