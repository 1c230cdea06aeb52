"""The feature maps of all stages of a backbone, by the paper's names of the stages."""

from collections.abc import Mapping
from typing import TypeVar

import keras

from seer_tf.models.backbone import Backbone

T = TypeVar("T")

AVGPOOL = "avgpool"
"""The mean over the map of the last stage: the features of the paper."""


def stage_names(backbone: Backbone) -> tuple[str, ...]:
    """Returns the names of the stages, from res2 on; res1 if the network has no other stage."""
    outputs = list(backbone.pyramid_outputs)
    return tuple(f"res{output.removeprefix('P')}" for output in outputs if output != "P1" or len(outputs) == 1)


def stage_maps(backbone: Backbone) -> keras.Model:
    """Returns the model that computes the maps of all stages; `AVGPOOL` names the map of the last stage."""
    outputs = {f"res{name.removeprefix('P')}": output for name, output in backbone.pyramid_outputs.items()}
    return keras.Model(backbone.input, {**outputs, AVGPOOL: backbone.output})


def in_order(backbone: Backbone, maps: Mapping[str, T]) -> list[T]:
    """Returns the maps of the stages, in the order of their names, out of the outputs of `stage_maps`."""
    return [maps[stage] for stage in stage_names(backbone)]
