"""SavedModels that can be run and fine-tuned anywhere: on GPUs, and on CPUs with and without oneDNN."""

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from seer_tf.files.plain_path import is_plain
from seer_tf.models.convolution import ChoiceAtLoading

Prepare = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function such as `ChoiceAtLoading.applied_to`. It decides how another function computes grouped convolutions."""


def write_archive(
    directory: str | os.PathLike[str],
    signatures: Callable[[Prepare], Mapping[str, Callable[..., Any]]],
    model: keras.Model,
) -> None:
    """Writes a SavedModel.

    Args:
        directory: Directory to write.
        signatures: Function that returns the signatures by name as compiled functions; the first one is the default.
        model: Model with the variables; the loaded SavedModel has those to train as `trainable_variables`.
    """
    archive, choice = keras.export.ExportArchive(), ChoiceAtLoading()
    archive.track(choice)
    for name, function in signatures(choice.applied_to).items():
        archive.add_endpoint(name, function)
    for collection in ("variables", "trainable_variables", "non_trainable_variables"):
        # TensorFlow's variables, because the archive would write Keras's variables a second time.
        archive.add_variable_collection(collection, [variable.value for variable in getattr(model, collection)])
    archive.write_out(os.fspath(directory), verbose=False)
    if not is_plain(pathlib.Path(directory)):
        logging.warning("TensorFlow loads no SavedModel from a path with [, ] or a backslash; move it to another path")


def write_model(model: keras.Model, directory: str | os.PathLike[str]) -> None:
    """Writes a model with one input and one output as a SavedModel with the signature `serve`, like `Model.export`."""
    (inputs,) = model.inputs
    spec = tf.TensorSpec(inputs.shape, inputs.dtype, name="inputs")

    def signatures(prepare: Prepare) -> dict[str, Callable[..., Any]]:
        run = prepare(model)
        return {
            "serve": tf.function(lambda inputs: run(inputs, training=False), input_signature=[spec], autograph=False)
        }

    write_archive(directory, signatures, model)
