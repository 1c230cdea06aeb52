"""Runs a `.keras` file on crops, and computes its gradients: keras_file.py FILE.keras GIVEN OUTPUTS.npz."""

import sys

import keras
import numpy as np
import tensorflow as tf

import seer_tf.models.outputs  # noqa: F401  registers its layers and the backbone's

model, given, outputs = sys.argv[1:]
loaded = keras.saving.load_model(model, compile=False)
crops = np.load(f"{given}/crops.npy")
found = loaded(crops, training=False)


@tf.function
def gradient_norms(crops):
    """Returns only norms, so that not all gradients of a large network must be in memory at once."""
    with tf.GradientTape() as tape:
        floats = [value for value in loaded(crops, training=False).values() if value.dtype == tf.float32]
        loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in floats])
    variables = [variable.value for variable in loaded.trainable_variables]
    return tf.stack([tf.norm(gradient) for gradient in tape.gradient(loss, variables, unconnected_gradients="zero")])


np.savez(outputs, gradient_norms=gradient_norms(crops[:1]), **{name: value.numpy() for name, value in found.items()})
