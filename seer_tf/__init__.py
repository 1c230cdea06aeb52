"""SEER in TensorFlow: SwAV pretraining of RegNetY networks on uncurated images.

The import is fast and loads neither TensorFlow nor Keras: the functions and `Backbone` are imported at their first use.
After the import, `keras.saving.load_model` can read files that hold layers, models and optimizers of `seer_tf`.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from seer_tf import gpu

# Read when TensorFlow is imported, so before it is.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", gpu.one_dnn())
# Without this the first process that computes on a GPU takes nearly all of its memory. Read when a GPU is started.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# Without it the user's keras.json could choose another backend.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from seer_tf import environment, keras_objects

if TYPE_CHECKING:
    from seer_tf.api.comparison import compare_methods
    from seer_tf.api.detection import finetune_detector
    from seer_tf.api.evaluation import evaluate
    from seer_tf.api.exporting import export
    from seer_tf.api.finetuning import finetune
    from seer_tf.api.model import load
    from seer_tf.api.pretraining import pretrain
    from seer_tf.errors import InputError
    from seer_tf.models import Backbone

__version__ = "0.1.0"
__all__ = [
    "Backbone",
    "InputError",
    "__version__",
    "compare_methods",
    "evaluate",
    "export",
    "finetune",
    "finetune_detector",
    "load",
    "pretrain",
]

_IMPORTED_LATER = {
    "Backbone": "seer_tf.models",
    "InputError": "seer_tf.errors",
    "compare_methods": "seer_tf.api.comparison",
    "evaluate": "seer_tf.api.evaluation",
    "export": "seer_tf.api.exporting",
    "finetune": "seer_tf.api.finetuning",
    "finetune_detector": "seer_tf.api.detection",
    "load": "seer_tf.api.model",
    "pretrain": "seer_tf.api.pretraining",
}

keras_objects.register_when_imported()


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use."""
    if name not in _IMPORTED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    environment.check_keras()
    if name != "InputError":  # needed to answer the error
        environment.check_gpus()
    return getattr(importlib.import_module(_IMPORTED_LATER[name]), name)


def __dir__() -> list[str]:
    """Returns the public names, for completion."""
    return __all__
