"""The ledger of rejected files: a line each, name and reason between them a tab, fit for a spreadsheet."""

import pathlib
from collections.abc import Iterable

HEADER = "file\treason\n"


def lines(rejected: Iterable[tuple[str, str]]) -> str:
    """Returns the lines of pairs of name and reason; what does not print, tabs and line ends too, is escaped."""
    return "".join(f"{_escaped(name)}\t{_escaped(reason)}\n" for name, reason in rejected)


def read(path: pathlib.Path) -> list[tuple[str, str]]:
    """Returns the pairs of name and reason of a ledger, with or without its header."""
    pairs = path.read_text("utf-8").removeprefix(HEADER).splitlines()
    return [(name, reason) for name, _, reason in (pair.partition("\t") for pair in pairs)]


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
