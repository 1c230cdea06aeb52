"""Finds the Keras model that `backbone.variant` names, and makes it a flat graph from normalised images to a map."""

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from seer_tf.distributed.fresh_thread import in_fresh_thread
from seer_tf.errors import InputError
from seer_tf.models.backbones.keras_model.graph import SIZE_PX, calls, is_functional, run_through
from seer_tf.models.backbones.keras_model.preprocessing import Preprocessing, kind_of
from seer_tf.models.hub import keras_hub
from seer_tf.models.keras_file import read_keras_file

_APPLICATIONS = "keras.applications"
_HUB = "keras_hub:"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Variants:
    """The names of Keras models: those of keras.applications, presets of KerasHub, functions, and `.keras` files."""

    def __iter__(self) -> Iterator[str]:
        """Yields the names that can be listed."""
        return (f"{_APPLICATIONS}:{name}" for name in vars(keras.applications) if name[0].isupper())

    def __len__(self) -> int:
        """Returns the number of names that can be listed."""
        return sum(1 for _ in self)

    def __contains__(self, variant: object) -> bool:
        """Returns whether a name is of this kind."""
        text = str(variant)
        if text.startswith(f"{_APPLICATIONS}:"):
            return text in list(self)
        return text.startswith(_HUB) or text.endswith(".keras") or bool(_FUNCTION.fullmatch(text))


def read_source(variant: str) -> keras.Model:
    """Returns the model with a name, with its weights: normalised images [B, h, w, 3] to a map [B, h', w', C].

    Args:
        variant: `keras.applications:NAME`, `keras_hub:PRESET`, `MODULE:FUNCTION` or `FILE.keras`.

    Raises:
        InputError: There is no such model, or it is no functional model from one image to one map.
    """
    return flat(read_model(variant), variant)


def read_model(variant: str) -> Any:
    """Returns the model with a name, as its function or file makes it: with any inputs, outputs and inner models.

    Args:
        variant: As in `read_source`.

    Raises:
        InputError: There is no such model.
    """
    if variant.endswith(".keras"):
        return in_fresh_thread(lambda: read_keras_file(variant))
    if variant.startswith(f"{_APPLICATIONS}:"):
        return in_fresh_thread(lambda: _application(getattr(keras.applications, variant.rpartition(":")[2])))
    if variant.startswith(_HUB):
        return in_fresh_thread(lambda: _of_keras_hub(variant))
    return in_fresh_thread(lambda: _of_function(variant))


def flat(model: Any, variant: str) -> keras.Model:
    """Returns a functional model of the same layers, without models inside the model.

    Args:
        model: Functional or sequential Keras model.
        variant: Name of the model, for messages.

    Raises:
        InputError: It is no functional model from one image to one map, or two layers have the same name.
    """
    if not is_functional(model) and not isinstance(model, keras.Sequential):
        raise InputError(
            f"`backbone.variant={variant}` gives a {type(model).__name__}; a functional or sequential Keras model is "
            "needed, whose layers are known"
        )
    shapes = [tensor.shape for tensor in (*(model.inputs or ()), *(model.outputs or ()))]
    if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes) or shapes[0][-1] != 3:
        raise InputError(
            f"`backbone.variant={variant}` goes from {shapes[:1]} to {shapes[1:]}; a backbone goes from one image "
            "[B, h, w, 3] to the map of its last stage [B, h, w, C]: leave out pooling and classifier"
        )
    image = keras.Input((None, None, 3), name="image", dtype=model.inputs[0].dtype)
    try:
        maps = run_through(model, image, lambda operation, *args, **kwargs: operation(*args, **kwargs))
        flat_model = keras.Model(image, maps)
        calls(flat_model, SIZE_PX)  # or raises
        return flat_model
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"`backbone.variant={variant}` is no backbone for images of any size whose layers all have names of their "
            f"own: {reason}"
        ) from None


def _application(build: Callable[..., keras.Model]) -> keras.Model:
    module = sys.modules[build.__module__]
    kind = kind_of(module.preprocess_input, source=module.__name__)
    image = keras.Input((None, None, 3))
    return build(include_top=False, weights=None, input_tensor=Preprocessing(kind, name="preprocessing")(image))


def _of_keras_hub(variant: str) -> keras.Model:
    """Loads a preset of KerasHub with its weights, behind a layer that converts pixels as its image converter does.

    Raises:
        InputError: KerasHub is missing, or cannot load the preset.
    """
    hub, preset = keras_hub(f"`backbone.variant={variant}`"), variant.removeprefix(_HUB)
    try:
        model = hub.models.Backbone.from_preset(preset)
        converter = _image_converter(hub, preset)
    except Exception as error:
        raise InputError(
            f"`backbone.variant={variant}`: KerasHub cannot load the preset; name one of "
            f"keras_hub.models.Backbone.presets, or a directory that `save_to_preset` wrote: {_told(error)}"
        ) from error
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        return model  # no network for images, which `flat` says
    kind = kind_of(converter, source=variant) if converter else "normalized"
    image = keras.Input((None, None, 3))
    return keras.Model(image, model(Preprocessing(kind, name="preprocessing")(image)))


def _image_converter(hub: Any, preset: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """Returns the conversion of pixels that a preset does; None if the preset does not state it."""
    try:
        converter = hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, FileNotFoundError):
        return None
    scale = 1.0 if converter.scale is None else np.asarray(converter.scale)
    offset = 0.0 if converter.offset is None else np.asarray(converter.offset)
    return lambda pixels: pixels * scale + offset


def _of_function(variant: str) -> Any:
    """Calls a function that the user has written.

    Raises:
        InputError: The module or the function is not there, or one of them fails.
    """
    module, _, name = variant.rpartition(":")
    try:
        with _working_directory_first():
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"`backbone.variant={variant}`: there is no module {error.name} in the working directory or on PYTHONPATH; "
            "name a module and a function in it, e.g. my_network:build for my_network.py"
        ) from None
    except Exception as error:
        raise InputError(f"`backbone.variant={variant}`: the import fails with {_told(error)}") from error
    if not callable(getattr(found, name, None)):
        raise InputError(f"`backbone.variant={variant}`: {module} has no function {name}; name one that it has")
    try:
        return getattr(found, name)()
    except Exception as error:
        raise InputError(f"`backbone.variant={variant}`: the function fails with {_told(error)}") from error


def _told(error: Exception) -> str:
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line.partition('. ')[0]}"


@contextlib.contextmanager
def _working_directory_first() -> Iterator[None]:
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path.remove(os.getcwd())
