"""Lists of files as tab-separated values, which spreadsheets open: two texts per line."""

from collections.abc import Iterable

REJECTED_HEADER = "file\treason\n"
CONVERTED_HEADER = "file\tdone\n"
DUPLICATES_HEADER = "group\tfile\n"


def to_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns one line per pair of texts; characters that do not print, with tabs and line ends, are escaped."""
    return "".join(f"{_escape(one)}\t{_escape(other)}\n" for one, other in pairs)


def parse(text: str) -> list[tuple[str, str]]:
    """Returns the pair of texts on each line; escaped characters stay escaped."""
    return [(one, other) for one, _, other in (line.partition("\t") for line in text.splitlines())]


def _escape(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
