"""A directory that is there whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from seer_tf.errors import InputError


@contextlib.contextmanager
def new_directory(output: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a directory to write into, which takes the name `output` at the end, or is removed when something fails.

    Raises:
        InputError: `output` exists.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output} exists already; name another output directory or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's is private
        os.replace(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
