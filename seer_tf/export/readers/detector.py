"""Runs a detector's SavedModel on images: detector.py DIRECTORY IMAGES.npy OUTPUTS.npz."""

import sys

import numpy as np
import tensorflow as tf

model, images, outputs = sys.argv[1:]
found = tf.saved_model.load(model).signatures["serve"](images=np.load(images))
np.savez(outputs, **{name: value.numpy() for name, value in found.items() if name != "class_name"})
