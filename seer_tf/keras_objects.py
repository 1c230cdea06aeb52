"""Tells Keras which layers, models and optimizers `seer_tf` has, without importing TensorFlow or Keras.

Keras reads a `.keras` file only if it knows each class that the file names. A class registers itself when its module is
imported. Until then a proxy stands in Keras's registry; the proxy imports the module when a file names the class.
"""

import types

import wrapt

_CLASSES = {
    "seer_tf.methods.swav.model": ("SwavModel",),
    "seer_tf.models.all_stages": ("AllStages",),
    "seer_tf.models.backbones.keras_model.layers": ("FixedNormalization", "GroupedConv2D", "KerasBatchNormalization"),
    "seer_tf.models.backbones.keras_model.network": ("KerasBackbone",),
    "seer_tf.models.backbones.keras_model.preprocessing": ("Preprocessing",),
    "seer_tf.models.backbones.regnet.network": ("BottleneckBlock", "RegNetY", "Stem"),
    "seer_tf.models.backbones.resnet.network": ("ResNet", "ResNetStem", "ResidualBlock"),
    "seer_tf.models.heads.projection": ("Projection",),
    "seer_tf.models.heads.swav_head": ("SwavHead",),
    "seer_tf.models.layers": ("BatchNormalization", "Conv2D", "SqueezeExcitation"),
    "seer_tf.models.outputs": ("ClassProbabilities", "NearestPrototype"),
    "seer_tf.models.remat": ("Recomputed",),
    "seer_tf.models.tasks.classifier": ("ImageClassifier",),
    "seer_tf.optimizers.lars": ("LARS",),
    "seer_tf.optimizers.schedules": ("ConstantThenHalve", "WarmupSchedule"),
}


def register_when_imported() -> None:
    """Registers the classes as soon as Keras is imported, or now if Keras is already imported."""
    wrapt.register_post_import_hook(_register, "keras")


def _register(keras: types.ModuleType) -> None:
    registry = keras.saving.get_custom_objects()
    for module, names in _CLASSES.items():
        for name in names:
            registry.setdefault(f"seer_tf>{name}", wrapt.lazy_import(module, name))
