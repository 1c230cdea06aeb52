"""SEER in TensorFlow: SwAV pretraining of RegNetY networks on uncurated images.

The import is fast and loads neither TensorFlow nor Keras. After it, `keras.saving.load_model` can read files that hold
layers, models and optimizers of `seer_tf`.
"""

import os

# Without oneDNN grouped convolutions have no gradient on the CPU, and TensorFlow leaves it out by default where there
# is no AVX-512. Read when TensorFlow is imported, so before it is.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from seer_tf import keras_objects

__version__ = "0.1.0"
__all__ = ["__version__"]

keras_objects.register_when_imported()
