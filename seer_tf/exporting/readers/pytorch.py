"""Reads weights for PyTorch by this package's own converter, and runs them on crops: pytorch.py FILE GIVEN OUTPUTS.npz.

PyTorch need not be installed, so PyTorch itself is not run.
"""

import sys

import numpy as np
import tensorflow as tf

from seer_tf.models.backbones.regnet.convert import convert

file, given, outputs = sys.argv[1:]
network = convert(file)
foreign = [name for name in network.unused if not name.endswith(".num_batches_tracked")]
if foreign:
    raise SystemExit(f"tensors that are no part of the network: {', '.join(foreign)}")
# One image at a time, as the network is run that these features are compared with.
crops = np.load(f"{given}/normalized.npy")
features = tf.concat([network.features(crop[None], training=False) for crop in crops], axis=0)
found = {"features": features.numpy()}
if network.classifier is not None:
    found["probabilities"] = tf.nn.softmax(network.classifier(features, training=False)).numpy()
np.savez(outputs, **found)
