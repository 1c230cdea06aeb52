"""Converts a released checkpoint, of whatever family its tensors are."""

import os
from pathlib import Path

from seer_tf.models.backbones.regnet.convert import convert as convert_regnet
from seer_tf.models.backbones.resnet.moco import convert_moco, is_moco
from seer_tf.models.conversion import ConvertedNetwork
from seer_tf.models.sharded_checkpoint import read_checkpoint


def convert(path: str | os.PathLike[str]) -> ConvertedNetwork:
    """Returns the networks in a checkpoint of a RegNetY (VISSL, Hugging Face, timm, torchvision) or of MoCo.

    Raises:
        InputError: The file cannot be read, holds no known network, or lacks a tensor.
    """
    return convert_moco(path) if is_moco(read_checkpoint(Path(path))) else convert_regnet(path)
