"""Exceptions with a message for the person who typed a command."""

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable
from typing import Self

#: Control characters, halves of characters, and ends of lines and paragraphs.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
_MOST_CHARACTERS, _LARGEST_WRITTEN = 120, 10**80


class InputError(ValueError):
    """An input is wrong: a path, a flag, a file, a size.

    The message is one sentence. It names the thing, and says what is wrong with it and what to do. Commands print only
    that sentence and end with exit status 2. A library user gets an ordinary exception.
    """

    def __init__(self, message: object = "") -> None:
        """Takes the sentence; `printable` makes names in it harmless to a terminal."""
        super().__init__(printable(str(message)))

    @classmethod
    def unknown(cls, kind: str, name: str, valid: Iterable[str]) -> Self:
        """Returns the error for a name that is not one of the valid ones.

        Args:
            kind: Kind of the named thing, e.g. "recipe".
            name: Name that was given.
            valid: Names that exist. The message suggests the most similar name and lists all.
        """
        names = list(valid)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return cls(f"there is no {kind} {shorten(repr(name))}: {hint}the valid ones are {', '.join(names)}")


class LostWorkerError(RuntimeError):
    """Another worker of the run has died or no longer answers. This worker is intact and can be started again.

    The message is one sentence. Commands print it and end with exit status 75, which asks for another try.
    """


def printable(text: str) -> str:
    """Returns a text in one line: control characters and broken characters are written as Python writes them."""
    if text.isprintable():
        return text
    escaped = (repr(each)[1:-1] if unicodedata.category(each) in _UNPRINTABLE else each for each in text)
    return "".join(escaped)


def printable_lines(text: str) -> str:
    """Returns a text as `printable` does, but keeps the ends of its lines and its tabs."""
    return re.sub(r"[^\n\t]+", lambda part: printable(part[0]), text)


def shorten(value: object) -> str:
    """Returns a value as text for a message, cut in the middle if it is long."""
    if isinstance(value, int) and abs(value) > _LARGEST_WRITTEN:  # Python refuses to write more than 4,300 digits
        return f"(a number of about {round(math.log10(abs(value))):,} digits)"
    text = str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:60]} … {text[-20:]}"
