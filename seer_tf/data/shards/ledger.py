"""Lists of files as tab-separated values, which spreadsheets open: two texts per line."""

from collections.abc import Iterable

REJECTED_HEADER = "file\treason\n"
CONVERTED_HEADER = "file\tdone\n"
DUPLICATES_HEADER = "group\tfile\n"
_FORMULA_SIGNS = ("=", "+", "-", "@")


def to_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns one line per pair of texts, each as `cell` writes it."""
    return "".join(f"{cell(one)}\t{cell(other)}\n" for one, other in pairs)


def parse(text: str) -> list[tuple[str, str]]:
    """Returns the pair of texts on each line; escaped characters stay escaped."""
    return [(one, other) for one, _, other in (line.partition("\t") for line in text.splitlines())]


def cell(text: str) -> str:
    """Returns a text as one harmless cell.

    Characters that do not print, with tabs and line ends, are escaped as in Python. So is the sign at the beginning of
    what a spreadsheet takes for a formula.
    """
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return f"\\x{ord(escaped[0]):02x}{escaped[1:]}" if escaped.startswith(_FORMULA_SIGNS) else escaped
