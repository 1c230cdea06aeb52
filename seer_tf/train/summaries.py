"""What a run writes for TensorBoard: scalars in groups, and the crops as the network sees them."""

import math
import pathlib

import numpy as np
import tensorflow as tf

from seer_tf.config import Config

_GROUPS = {
    "loss": "loss/loss",
    "relative_loss": "loss/relative_to_ln_K",
    "learning_rate": "optimization/learning_rate",
    "gradient_norm": "optimization/gradient_norm",
    "update_norm": "optimization/update_norm",
    "prototype_usage": "prototypes/share_in_use",
    "images_per_second": "speed/images_per_second",
    "data_wait_share": "speed/share_of_time_waiting_for_data",
}
_SHEET_IMAGES = 8


class Summaries:
    """TensorBoard's events of one run."""

    def __init__(self, directory: pathlib.Path, config: Config) -> None:
        """Opens a new event file in `directory`."""
        self._writer = tf.summary.create_file_writer(str(directory))
        self._ln_k = math.log(config.head.num_prototypes)

    def scalars(self, step: int, metrics: dict[str, float]) -> dict[str, float]:
        """Writes the metrics of an interval that ends at `step`, and returns them with loss / ln K added."""
        metrics = metrics | {"relative_loss": metrics["loss"] / self._ln_k if self._ln_k else math.nan}
        with self._writer.as_default(step=step):
            for name, tag in _GROUPS.items():
                tf.summary.scalar(tag, metrics[name])
        self._writer.flush()
        return metrics

    def crops(self, step: int, crops: tuple[tf.Tensor, ...]) -> None:
        """Writes the crops of the first images of a batch, one image per row.

        Args:
            step: number of the step that sees them.
            crops: one uint8 tensor [B, crops, side, side, 3] for each crop size.
        """
        with self._writer.as_default(step=step):
            tf.summary.image("crops", crop_sheet(crops)[None])
        self._writer.flush()


def crop_sheet(crops: tuple[tf.Tensor, ...]) -> np.ndarray:
    """Returns a picture of crops, uint8 [height, width, 3]: a row per image, its crops side by side, the largest first.

    Args:
        crops: one uint8 tensor [B, crops, side, side, 3] for each crop size.
    """
    height = max(group.shape[2] for group in crops)
    rows = []
    for image in range(min(_SHEET_IMAGES, crops[0].shape[0])):
        tiles = [np.asarray(crop) for group in crops for crop in group[image]]
        rows.append(np.concatenate([_pad(tile, height) for tile in tiles], axis=1))
    return np.concatenate(rows, axis=0)


def _pad(tile: np.ndarray, height: int) -> np.ndarray:
    return np.pad(tile, ((0, height - tile.shape[0] + 2), (0, 2), (0, 0)), constant_values=255)
