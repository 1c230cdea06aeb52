"""Runs a `.keras` file on crops: keras_file.py FILE.keras GIVEN OUTPUTS.npz."""

import sys

import keras
import numpy as np

import seer_tf.models.outputs  # noqa: F401  registers the layers, and with them those of the backbone

model, given, outputs = sys.argv[1:]
found = keras.saving.load_model(model, compile=False)(np.load(f"{given}/crops.npy"), training=False)
np.savez(outputs, **{name: value.numpy() for name, value in found.items()})
