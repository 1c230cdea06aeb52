"""Files for TensorBoard's embedding projector: features with names, classes and thumbnails."""

import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image
from tensorboard.plugins import projector

from seer_tf.data.shards import ledger

#: Longest side of a sprite that browsers show.
MAX_SPRITE_PX = 8192
_METADATA, _SPRITE = "metadata.tsv", "sprite.png"


def write_projector(
    directory: pathlib.Path,
    features: Mapping[str, np.ndarray],
    thumbnails: np.ndarray,
    names: Sequence[str],
    class_names: Sequence[str],
) -> None:
    """Writes the files into a directory, which TensorBoard then takes for a log directory.

    Args:
        directory: Existing directory.
        features: Features by stage, float [N, C].
        thumbnails: Images, uint8 [N, side, side, 3].
        names: Name of each image.
        class_names: Class of each image; empty text for an image without one.
    """
    rows = zip(names, class_names, strict=True)
    (directory / _METADATA).write_text("image\tclass\n" + ledger.to_text(rows))
    Image.fromarray(_sprite(thumbnails)).save(directory / _SPRITE)
    config = projector.ProjectorConfig()
    for stage, values in features.items():
        file = directory / f"{stage}.tsv"
        np.savetxt(file, values, fmt="%.6g", delimiter="\t")
        embedding = config.embeddings.add(tensor_name=stage, tensor_path=file.name, metadata_path=_METADATA)
        embedding.tensor_shape.extend(values.shape)
        embedding.sprite.image_path = _SPRITE
        embedding.sprite.single_image_dim.extend(thumbnails.shape[1:3])
    projector.visualize_embeddings(str(directory), config)


def _sprite(thumbnails: np.ndarray) -> np.ndarray:
    """Returns one picture of all thumbnails, in rows from left to right, as many in a row as there are rows."""
    num, side = len(thumbnails), math.ceil(math.sqrt(len(thumbnails)))
    height, width = thumbnails.shape[1:3]
    cells = np.zeros([side * side, height, width, 3], np.uint8)
    cells[:num] = thumbnails
    return cells.reshape(side, side, height, width, 3).swapaxes(1, 2).reshape(side * height, side * width, 3)
