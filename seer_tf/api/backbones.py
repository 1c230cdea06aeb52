"""Keras models that are given in memory: a run keeps its model in a file, because it must find the model again."""

import contextlib
from collections.abc import Iterator
from typing import TypeAlias

import keras

from seer_tf.errors import InputError
from seer_tf.files.atomic import atomic_file
from seer_tf.models.backbones.keras_model.source import flat
from seer_tf.models.keras_file import read_keras_file
from seer_tf.training.run_directory import RunDirectory

#: A name as in `backbone.variant`, or a functional Keras model.
Network: TypeAlias = str | keras.Model


@contextlib.contextmanager
def variant_of_run(network: Network | None, directory: RunDirectory) -> Iterator[dict[str, str]]:
    """Yields the assignment of `backbone.variant`. A model is first written into the run directory.

    If the run does not begin, the file is removed.

    Args:
        network: Network; None to assign nothing.
        directory: Run directory.

    Raises:
        InputError: The model cannot be a backbone, or the directory holds a run of another one.
    """
    if network is None or isinstance(network, str):
        yield {"backbone.variant": network} if network else {}
        return
    shapes = _shapes(flat(network, "backbone"))
    directory.check_place()
    if directory.holds_a_run():
        if not directory.backbone.is_file() or _shapes(read_keras_file(directory.backbone)) != shapes:
            raise InputError(f"{directory.path} holds a run of another network than `backbone`; give another `run_dir`")
    else:
        directory.path.mkdir(parents=True, exist_ok=True)
        with atomic_file(directory.backbone) as file:
            network.save(file)
    try:
        yield {"backbone.variant": str(directory.backbone)}
    except BaseException:
        if not directory.holds_a_run():
            directory.backbone.unlink()
            with contextlib.suppress(OSError):
                directory.path.rmdir()  # fails if the directory holds anything else
        raise


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    return sorted(tuple(weight.shape) for weight in model.weights)
