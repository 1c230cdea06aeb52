"""Networks: the RegNetY backbone, SwAV's head, and both as one model.

Start here: `RegNetY("400MF")` is a Keras model of feature maps, `pooled(backbone)` one of feature vectors.
"""

from seer_tf.models.regnet import RegNetY, build_backbone, pooled
from seer_tf.models.swav_head import SwavHead
from seer_tf.models.swav_model import SwavModel, build_swav_model, unflatten

__all__ = ["RegNetY", "SwavHead", "SwavModel", "build_backbone", "build_swav_model", "pooled", "unflatten"]
