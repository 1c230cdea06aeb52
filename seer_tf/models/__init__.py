"""Networks: backbones, heads, and networks for a task.

Start here. `backbone("400MF")` returns a Keras model that computes feature maps, with fresh weights.
`Backbone.from_preset` takes names and paths of weights, as KerasHub's does.
`load_backbone("model.keras")` returns one with the weights of a converted checkpoint. `pooled(backbone)` returns a
model that computes feature vectors.
"""

import os

from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbone import Backbone, pooled
from seer_tf.models.backbones.registry import build_backbone
from seer_tf.models.backbones.regnet import presets as regnet_presets
from seer_tf.models.backbones.regnet.network import RegNetY
from seer_tf.models.encoder import Encoder
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.models.keras_file import read_keras_file

__all__ = [
    "Backbone",
    "Encoder",
    "RegNetY",
    "SwavHead",
    "backbone",
    "build_backbone",
    "load_backbone",
    "pooled",
]

regnet_presets.register()


def backbone(variant: str) -> Backbone:
    """Returns a backbone with fresh weights.

    Args:
        variant: Name of a registered backbone, e.g. "32GF".

    Raises:
        InputError: The variant does not exist.
    """
    return build_backbone(BackboneConfig(variant=variant))


def load_backbone(file: str | os.PathLike[str]) -> Backbone:
    """Returns the backbone in a `.keras` file, such as the `model.keras` of a converted checkpoint.

    Raises:
        InputError: The file cannot be read, or holds no backbone.
    """
    model = read_keras_file(file)
    if not isinstance(model, Backbone):
        raise InputError(f"{file}: this is no backbone; give the model.keras of a converted checkpoint")
    return model
