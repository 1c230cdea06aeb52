"""Runs every signature of a SavedModel, and its gradients: saved_model.py DIRECTORY GIVEN OUTPUTS.npz."""

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
# A batch has one size, and the images have many: each goes with itself turned round, which must not take its place.
each = [serve["serve"](images=np.stack([image, image[::-1, ::-1]])) for image in wholes]
found |= {f"serve/{key}": np.concatenate([answer[key][:1] for answer in each]) for key in each[0]}


@tf.function
def gradient_norms(crops):
    """Of one crop, and of the norms alone: the gradients of a large network need not be there all at once."""
    with tf.GradientTape() as tape:
        floats = [value for value in loaded.serve_float(crops).values() if value.dtype == tf.float32]
        loss = tf.add_n([tf.reduce_sum(tf.square(value)) for value in floats])
    gradients = tape.gradient(loss, loaded.trainable_variables, unconnected_gradients="zero")
    return tf.stack([tf.norm(gradient) for gradient in gradients])


found["gradient_norms"] = gradient_norms(crops[:1]).numpy()
# Strings come as objects, which a file of arrays would have to pickle.
np.savez(outputs, **{name: value.astype("S") if value.dtype == object else value for name, value in found.items()})
