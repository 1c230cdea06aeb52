"""Random damage to files, determined by a seed."""

import json
import random
from collections.abc import Iterator
from typing import Any

_OTHER_TYPES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    0.5,
    float("nan"),
    "x",
    "",
    "\x1b[2J\n",
    [],
    [[1]],
    {},
    {"a": 1},
)


def flipped(content: bytes, number: int, *, seed: int = 0) -> Iterator[bytes]:
    """Yields copies of a content with one byte changed, removed or doubled, or with the end cut off.

    Args:
        content: Content of a file.
        number: Number of copies to yield.
        seed: Seed of the places and changes.
    """
    draw = random.Random(seed)
    for _ in range(number):
        place = draw.randrange(len(content))
        head, tail = content[:place], content[place + 1 :]
        yield draw.choice(
            [
                head + bytes([content[place] ^ 1 << draw.randrange(8)]) + tail,
                head + bytes([draw.randrange(256)]) + tail,
                head + tail,
                head + content[place : place + 1] * 2 + tail,
                head,
            ]
        )


def retyped(content: bytes, number: int, *, without: tuple[str, ...] = (), seed: int = 0) -> Iterator[bytes]:
    """Yields copies of a JSON object with one value removed or replaced by a value of another type.

    Args:
        content: JSON with an object. The changed value may be at any depth.
        number: Number of copies to yield.
        without: Top-level keys to leave out, for example the checksum.
        seed: Seed of the places and changes.
    """
    draw = random.Random(seed)
    for _ in range(number):
        values = {key: value for key, value in json.loads(content).items() if key not in without}
        holder, key = draw.choice(list(_places(values)))
        if draw.random() < 0.2:
            del holder[key]
        else:
            holder[key] = draw.choice(_OTHER_TYPES)
        yield json.dumps(values).encode()


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(values) if isinstance(values, dict) else range(len(values))
    for key in keys:
        yield values, key
        if isinstance(values[key], (dict, list)):
            yield from _places(values[key])
