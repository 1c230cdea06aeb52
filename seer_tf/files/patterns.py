"""Patterns that name several files or directories: `DIR/{0000..0099}.tar`, `DIR/{a,b}` and `DIR/*`."""

import re
from collections.abc import Sequence

from seer_tf.files import storage

#: A pair of braces, with a range of numbers or several words in it.
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")


def paths_of(place: str) -> Sequence[str]:
    """Returns the paths that a path or a pattern stands for; none if nothing matches wildcards."""
    if storage.exists(place):
        return (place,)
    return [path for pattern in _braces(place) for path in _matches(pattern)]


def _matches(pattern: str) -> Sequence[str]:
    wildcards = "*[" if storage.is_remote(pattern) else "*[?"  # `?` may belong to a URL
    return storage.matches(pattern) if any(map(pattern.count, wildcards)) else (pattern,)


def _braces(pattern: str) -> list[str]:
    """Returns the paths that a pattern with `{0000..0099}` or `{a,b}` stands for."""
    found = _BRACES.search(pattern)
    if found is None:
        return [pattern]
    first, last, words = found.groups()
    inner = words.split(",") if words is not None else [f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1)]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [whole for one in inner for whole in _braces(f"{before}{one}{after}")]
