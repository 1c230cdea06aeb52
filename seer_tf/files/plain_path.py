"""Paths for TensorFlow's readers of checkpoints and SavedModels, which take a path for a pattern.

Among the characters of patterns, `[`, `]` and a backslash do not match themselves, so these readers find nothing in a
directory named `lr=[0.6]`.
"""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

_NOT_THEMSELVES = frozenset("[]\\")


def is_plain(path: pathlib.Path) -> bool:
    """Whether a path, taken for a pattern, matches itself."""
    return _NOT_THEMSELVES.isdisjoint(str(path.absolute()))


@contextlib.contextmanager
def plain_path(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a path to a directory that matches itself: its own, or else a link that exists until the context ends."""
    if is_plain(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = pathlib.Path(scratch) / "directory"
        link.symlink_to(directory.absolute(), target_is_directory=True)
        yield link
