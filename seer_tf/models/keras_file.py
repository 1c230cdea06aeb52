"""Models in `.keras` files."""

import os
import pathlib
import zipfile
from typing import Any

import keras

from seer_tf.errors import InputError, shorten


def read_keras_file(file: str | os.PathLike[str]) -> Any:
    """Returns the model in a `.keras` file, not compiled.

    Raises:
        InputError: The file is missing, damaged or holds no model of this version.
    """
    if not pathlib.Path(file).is_file():
        raise InputError(f"there is no file {file}")
    if not zipfile.is_zipfile(file):  # Keras calls it "not found"
        raise InputError(f"{file} cannot be read as a Keras model: it is damaged or of another format; write it again")
    try:
        return keras.saving.load_model(file, compile=False)
    except Exception as error:  # A damaged file makes Keras and HDF5 raise anything.
        reason = shorten(str(error.args[0] if error.args else error).partition("\n")[0])
        raise InputError(f"{file} cannot be read as a Keras model: {reason}; write it again") from None
