"""Runs all signatures of a SavedModel, and computes its gradients: saved_model.py DIRECTORY GIVEN OUTPUTS.npz."""

import pathlib
import sys

import numpy as np
import tensorflow as tf

model, given, outputs = sys.argv[1:]
loaded = tf.saved_model.load(model)
serve = loaded.signatures
files = [path.read_bytes() for path in sorted(pathlib.Path(given).glob("*.image"))]
wholes = [np.load(path) for path in sorted(pathlib.Path(given).glob("*.whole.npy"))]
crops = np.load(f"{given}/normalized.npy")
answers = {
    "serve_float": serve["serve_float"](crops=crops),
    "serve_encoded": serve["serve_encoded"](encoded=tf.constant([b"no image", *files])),
}
assert answers["serve_encoded"].pop("valid").numpy().tolist() == [False] + [True] * len(files)
found = {f"{name}/{key}": value.numpy() for name, answer in answers.items() for key, value in answer.items()}
found = {name: value[1:] if name.startswith("serve_encoded/") else value for name, value in found.items()}
# Images in a batch have one size, but these images have many sizes. So each image shares a batch with its own rotation
# by 180 degrees, which must not be taken for it.
each = [serve["serve"](images=np.stack([image, image[::-1, ::-1]])) for image in wholes]
found |= {f"serve/{key}": np.concatenate([answer[key][:1] for answer in each]) for key in each[0]}


@tf.function
def gradient_norms(crops):
    """Returns only norms, so that not all gradients of a large network must be in memory at once."""
    with tf.GradientTape() as tape:
        floats = [value for value in loaded.serve_float(crops).values() if value.dtype == tf.float32]
        loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in floats])
    gradients = tape.gradient(loss, loaded.trainable_variables, unconnected_gradients="zero")
    return tf.stack([tf.norm(gradient) for gradient in gradients])


found["gradient_norms"] = gradient_norms(crops[:1]).numpy()
# Strings are arrays of objects, which .npz files could store only by pickle.
np.savez(outputs, **{name: value.astype("S") if value.dtype == object else value for name, value in found.items()})
