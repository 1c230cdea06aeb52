"""The presets of RegNetY: every variant by its name, and released checkpoints by their paths."""

import functools
from pathlib import Path

from seer_tf.models.backbone import Backbone, preset_name
from seer_tf.models.backbones.regnet.convert import convert
from seer_tf.models.backbones.regnet.design import VARIANTS
from seer_tf.models.backbones.regnet.network import RegNetY

PRESETS = {preset_name(f"regnety_{variant}"): functools.partial(RegNetY, variant) for variant in VARIANTS}


def read_checkpoint(path: Path) -> Backbone:
    """Returns the backbone in a released checkpoint.

    Raises:
        InputError: As for `convert`.
    """
    return convert(path).backbone


def register() -> None:
    """Adds the presets to `Backbone.from_preset`."""
    Backbone.presets.update(PRESETS)
    Backbone.read_checkpoint = staticmethod(read_checkpoint)
