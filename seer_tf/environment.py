"""What must be right about the environment before a public function or a command does anything: Keras and GPUs."""

import os

from seer_tf import gpu
from seer_tf.errors import InputError


def check_keras() -> None:
    """Raises an error if the environment chooses Keras 2, or another backend of Keras 3 than TensorFlow.

    Raises:
        InputError: A variable has such a value.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise InputError(f"KERAS_BACKEND={backend} chooses another backend than tensorflow; unset this variable")
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if legacy.lower() in ("1", "true"):
        raise InputError(f"TF_USE_LEGACY_KERAS={legacy} chooses Keras 2, but Keras 3 is needed; unset this variable")


def check_gpus() -> None:
    """Raises an error for a GPU that is too new for TensorFlow. Imports TensorFlow, unless all GPUs are hidden.

    Raises:
        InputError: TensorFlow has no code for a GPU that this process sees.
    """
    if not gpu.are_hidden():
        from seer_tf.distributed import gpus

        gpus.check_capabilities()
