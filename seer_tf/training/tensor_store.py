"""Tensors by name in a directory that is there whole or not at all: one checkpoint on disk.

`tensors.index` and `tensors.data-00000-of-00001` are TensorFlow's own format, which `tf.train.load_checkpoint` reads;
it keeps a CRC-32C of every tensor and checks it on reading. `about.json` says what the tensors are.
"""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

UNFINISHED = ".unfinished"


class DamagedError(Exception):
    """Tensors cannot be read: some are missing, or not what was written. The text is TensorFlow's reason."""


def host_copies(variables: Mapping[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """Returns the values that variables have now, in the memory of the host; later updates do not reach them."""
    with tf.device("CPU:0"):
        return {name: tf.identity(variable) for name, variable in variables.items()}


def write(directory: pathlib.Path, tensors: Mapping[str, tf.Tensor], about: Mapping[str, Any]) -> None:
    """Writes tensors under an unfinished name, down to the disk, and gives them their name last.

    Args:
        directory: to make; one that is there is replaced.
        tensors: by name.
        about: plain values for `about.json`.

    Raises:
        tf.errors.OpError, OSError: they cannot be written; nothing of them is left.
    """
    unfinished = directory.with_name(directory.name + UNFINISHED)
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        tf.raw_ops.SaveV2(
            prefix=str(unfinished / _TENSORS),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=list(tensors.values()),
        )
        (unfinished / _ABOUT).write_text(json.dumps(about, indent=2) + "\n")
        for path in (*unfinished.iterdir(), unfinished):
            _flush(path)
        remove(directory)
        unfinished.rename(directory)
        _flush(directory.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def shapes(directory: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all tensors that `write` has put into a directory, by name.

    Raises:
        DamagedError: the directory lacks a file, or the file of names is not what was written.
    """
    with _damage_named():
        listed = tf.train.load_checkpoint(str(directory / _TENSORS)).get_variable_to_shape_map()
    return {name: tuple(shape) for name, shape in listed.items()}


def read(directory: pathlib.Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads some of the tensors that `write` has put into a directory, and checks their checksums.

    Raises:
        DamagedError: the directory lacks a file or a tensor, or a tensor is not what was written.
    """
    with _damage_named():
        reader = tf.train.load_checkpoint(str(directory / _TENSORS))
        return {name: reader.get_tensor(name) for name in names}


def read_about(directory: pathlib.Path) -> dict[str, Any]:
    """Returns what `write` was told of the tensors; nothing where that cannot be read."""
    try:
        return json.loads((directory / _ABOUT).read_text())
    except (OSError, json.JSONDecodeError):
        return {}


def remove(directory: pathlib.Path) -> None:
    """Removes what `write` has made, if it is there; what is left of a removal that is interrupted is unfinished."""
    if directory.exists():
        unwanted = directory.with_name(f"{directory.name}.old{UNFINISHED}")
        shutil.rmtree(unwanted, ignore_errors=True)
        directory.rename(unwanted)
        shutil.rmtree(unwanted)


_TENSORS = "tensors"
_ABOUT = "about.json"


@contextlib.contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:  # TensorFlow raises any of these
        raise DamagedError(str(error).splitlines()[0]) from None


def _flush(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
