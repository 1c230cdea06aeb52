"""Runs every signature of a SavedModel: saved_model.py DIRECTORY GIVEN OUTPUTS.npz."""

import pathlib
import sys

import numpy as np
import tensorflow as tf

model, given, outputs = sys.argv[1:]
serve = tf.saved_model.load(model).signatures
files = [path.read_bytes() for path in sorted(pathlib.Path(given).glob("*.image"))]
wholes = [np.load(path) for path in sorted(pathlib.Path(given).glob("*.whole.npy"))]
answers = {
    "serve": serve["serve"](images=np.load(f"{given}/crops.npy")),
    "serve_float": serve["serve_float"](crops=np.load(f"{given}/normalized.npy")),
    "serve_encoded": serve["serve_encoded"](encoded=tf.constant([b"no image", *files])),
}
assert answers["serve_encoded"].pop("valid").numpy().tolist() == [False] + [True] * len(files)
found = {f"{name}/{key}": value.numpy() for name, answer in answers.items() for key, value in answer.items()}
found = {name: value[1:] if name.startswith("serve_encoded/") else value for name, value in found.items()}
each = [serve["serve"](images=image[None]) for image in wholes]
found |= {f"one by one/{key}": np.concatenate([answer[key] for answer in each]) for key in each[0]}
# Strings come as objects, which a file of arrays would have to pickle.
np.savez(outputs, **{name: value.astype("S") if value.dtype == object else value for name, value in found.items()})
