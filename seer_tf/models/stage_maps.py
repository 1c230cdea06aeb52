"""The feature maps of all stages of a backbone, by the paper's names of the stages."""

import keras

from seer_tf.models.backbone import Backbone

AVGPOOL = "avgpool"
"""The mean over the map of the last stage: the features of the paper."""


def stage_names(backbone: Backbone) -> tuple[str, ...]:
    """Returns the names of the stages, from res2 on."""
    return tuple(f"res{output.removeprefix('P')}" for output in backbone.pyramid_outputs if output != "P1")


def stage_maps(backbone: Backbone) -> keras.Model:
    """Returns the model that computes the maps of all stages; `AVGPOOL` names the map of the last stage."""
    outputs = {f"res{name.removeprefix('P')}": output for name, output in backbone.pyramid_outputs.items()}
    return keras.Model(backbone.input, {**outputs, AVGPOOL: backbone.output})
