"""Runs a detector's SavedModel on images, and computes its gradients: detector.py DIRECTORY GIVEN OUTPUTS.npz."""

import sys

import numpy as np
import tensorflow as tf

model, given, outputs = sys.argv[1:]
loaded = tf.saved_model.load(model)
found = loaded.signatures["serve"](images=np.load(f"{given}/images.npy"))


@tf.function
def gradient_norms(squares):
    """Returns only norms, so that not all gradients of a large network must be in memory at once."""
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in loaded.serve_float(squares).values()])
    return tf.stack([tf.norm(gradient) for gradient in tape.gradient(loss, loaded.trainable_variables)])


norms = gradient_norms(np.load(f"{given}/squares.npy"))
np.savez(outputs, gradient_norms=norms, **{key: value.numpy() for key, value in found.items() if key != "class_name"})
