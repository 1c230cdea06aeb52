"""The parts of one kind by name, such as export formats. Other packages can add parts of their own."""

from collections.abc import Mapping
from typing import TypeVar

from seer_tf.errors import InputError

Part = TypeVar("Part")


class Registry(dict[str, Part]):
    """Parts by name, in the order in which they were added."""

    def __init__(self, kind: str, parts: Mapping[str, Part]) -> None:
        """Takes the name of a part in messages, e.g. "format", and the parts of this package."""
        super().__init__(parts)
        self._kind = kind

    def register(self, name: str, part: Part) -> None:
        """Adds a part, so that users can name it.

        Args:
            name: Name of the part.
            part: The part.

        Raises:
            ValueError: There is a part of that name.
        """
        if name in self:
            raise ValueError(f"there is a {self._kind} named {name} already")
        self[name] = part

    def find(self, name: str) -> Part:
        """Returns the part with a name.

        Raises:
            InputError: There is no such part; the message names the most similar one.
        """
        if name not in self:
            raise InputError.unknown(self._kind, name, self)
        return self[name]
