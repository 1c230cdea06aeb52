"""A network of a user: three layers in a module of their own, in the working directory."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

THREE_LAYERS = "three_layers:build"
_SOURCE = """
import keras

def build():
    image = x = keras.Input((None, None, 3))
    for width in (8, 16, 24):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.Dropout(0.2)(keras.layers.ReLU()(keras.layers.BatchNormalization()(x)))
    return keras.Model(image, x)
"""


@contextlib.contextmanager
def three_layers() -> Iterator[None]:
    """Writes the module into the working directory. Python forgets the module at the end."""
    Path("three_layers.py").write_text(_SOURCE)
    yield
    sys.modules.pop("three_layers", None)
