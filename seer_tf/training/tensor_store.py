"""One checkpoint on disk: a directory of named tensors that exists completely or not at all.

`tensors.index` and `tensors.data-00000-of-00001` have TensorFlow's own format, which `tf.train.load_checkpoint` reads.
This format stores a CRC-32C of every tensor and checks it on reading. `about.json` describes the tensors.
"""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from seer_tf.files import sealed_json
from seer_tf.files.atomic import atomic_directory
from seer_tf.files.plain_path import plain_path

T = TypeVar("T")


class DamagedError(Exception):
    """Tensors cannot be read: some are missing, or differ from what was written. The message is TensorFlow's reason."""


def host_copies(variables: Mapping[str, tf.Variable]) -> dict[str, tf.Tensor]:
    """Returns copies of the current values of variables in host memory; later updates do not change the copies."""
    with tf.device("CPU:0"):
        return {name: tf.identity(variable) for name, variable in variables.items()}


def write(directory: pathlib.Path, tensors: Mapping[str, tf.Tensor], about: Mapping[str, Any]) -> None:
    """Writes tensors under a temporary name, flushes them to the disk, and renames the directory last.

    Args:
        directory: Directory to create; an existing one is replaced.
        tensors: Tensors by name.
        about: Plain values for `about.json`.

    Raises:
        tf.errors.OpError, OSError: The tensors cannot be written; no part of them remains.
    """
    with atomic_directory(directory) as unfinished:
        tf.raw_ops.SaveV2(
            prefix=str(unfinished / _TENSORS),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=list(tensors.values()),
        )
        (unfinished / _ABOUT).write_text(sealed_json.text(about))


def shapes(directory: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of all tensors in a directory that `write` made, by name.

    Raises:
        DamagedError: A file is missing, or the index differs from what was written.
    """
    with _reader(directory) as reader:
        listed = reader.get_variable_to_shape_map()
    return {name: tuple(shape) for name, shape in listed.items()}


def read(directory: pathlib.Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Reads tensors by name from a directory that `write` made, and checks their checksums.

    Raises:
        DamagedError: A file or a tensor is missing, or a tensor differs from what was written.
    """
    with _reader(directory) as reader:
        return {name: reader.get_tensor(name) for name in names}


def read_about(directory: pathlib.Path, kind: type[T]) -> T:
    """Returns the content of `about.json`.

    Args:
        directory: Directory that `write` made.
        kind: Dataclass for the content.

    Raises:
        DamagedError: The file is missing, or differs from what was written.
    """
    try:
        return sealed_json.read((directory / _ABOUT).read_bytes(), kind)
    except OSError as error:
        raise DamagedError(str(error.strerror)) from None
    except sealed_json.DamagedJsonError as error:
        raise DamagedError(str(error)) from None


_TENSORS = "tensors"
_ABOUT = "about.json"


@contextlib.contextmanager
def _reader(directory: pathlib.Path) -> Iterator[Any]:
    try:
        with plain_path(directory) as plain:
            yield tf.train.load_checkpoint(str(plain / _TENSORS))
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:  # TensorFlow raises any of these
        raise DamagedError(str(error).splitlines()[0]) from None
