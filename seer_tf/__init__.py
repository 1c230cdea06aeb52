"""SEER in TensorFlow: SwAV pretraining of RegNetY networks on uncurated images.

Importing it tells Keras of its layers, models and optimizer, so that `keras.saving.load_model` can read them.
"""

import os

# Without oneDNN grouped convolutions have no gradient on the CPU, and TensorFlow leaves it out by default where there
# is no AVX-512. Read when TensorFlow is imported, so before it is.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from seer_tf.methods.swav import model
from seer_tf.models import outputs
from seer_tf.models.tasks import classifier
from seer_tf.optimizers import lars

__version__ = "0.1.0"
__all__ = ["classifier", "lars", "model", "outputs"]
