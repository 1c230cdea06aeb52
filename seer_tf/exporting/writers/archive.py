"""SavedModels that run and can be fine-tuned wherever TensorFlow does: on GPUs, and on CPUs with and without oneDNN."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from seer_tf.models.convolution import ChoiceAtLoading

Prepare = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Settles how a function computes its grouped convolutions, as `ChoiceAtLoading.applied_to` does."""


def write_archive(
    directory: str | os.PathLike[str],
    signatures: Callable[[Prepare], Mapping[str, Callable[..., Any]]],
    model: keras.Model,
) -> None:
    """Writes a SavedModel.

    Args:
        directory: What to write.
        signatures: Makes the signatures by name as compiled functions, the first of which is the default one.
        model: What has the variables; the SavedModel names the trainable ones of them `trainable_variables`.
    """
    archive, choice = keras.export.ExportArchive(), ChoiceAtLoading()
    archive.track(choice)
    for name, function in signatures(choice.applied_to).items():
        archive.add_endpoint(name, function)
    for collection in ("variables", "trainable_variables", "non_trainable_variables"):
        # As TensorFlow's variables: of Keras's own the archive would write each a second time.
        archive.add_variable_collection(collection, [variable.value for variable in getattr(model, collection)])
    archive.write_out(os.fspath(directory), verbose=False)


def write_model(model: keras.Model, directory: str | os.PathLike[str]) -> None:
    """Writes a model of one input and one output as a SavedModel with the signature `serve`, as `Model.export` does."""
    (inputs,) = model.inputs
    spec = tf.TensorSpec(inputs.shape, inputs.dtype, name="inputs")

    def signatures(prepare: Prepare) -> dict[str, Callable[..., Any]]:
        run = prepare(model)
        return {
            "serve": tf.function(lambda inputs: run(inputs, training=False), input_signature=[spec], autograph=False)
        }

    write_archive(directory, signatures, model)
