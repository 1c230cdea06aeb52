"""Ledgers of files: two texts a line, between them a tab, fit for a spreadsheet."""

from collections.abc import Iterable

REJECTED_HEADER = "file\treason\n"
DUPLICATES_HEADER = "group\tfile\n"


def lines(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns the lines of pairs of texts; what does not print, tabs and line ends too, is escaped."""
    return "".join(f"{_escaped(one)}\t{_escaped(other)}\n" for one, other in pairs)


def parse(text: str) -> list[tuple[str, str]]:
    """Returns the pairs of the lines of a ledger, escaped as they are."""
    return [(one, other) for one, _, other in (line.partition("\t") for line in text.splitlines())]


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
