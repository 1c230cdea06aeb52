"""Backbone and head as one model for the crops of a batch.

The model follows the multi-crop mode of VISSL's `models/base_ssl_model.py`. The backbone makes one pass for each crop
size. Then the head makes one pass over all rows, so that its batch normalisation sees all crops.

SEER's 10 B network was trained with one pass over all crops instead (VISSL's `create_multidimensional_tensor`). Smaller
crops get zeros to the right and below. Convolutions and batch normalisation see the zeros. They are cut off from the
last map before it is pooled (`get_tunk_forward_interpolated_outputs`).

Shapes: B images, V crops per image in all, n crops of one size, s x s pixels, D embedding dimensions, K prototypes.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.models.backbones.registry import build_backbone
from seer_tf.models.encoder import Encoder
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.quantities import counted


def flatten_crops(crops: tf.Tensor) -> tf.Tensor:
    """Makes every crop one row, crop-major: row = crop * B + image.

    Args:
        crops: Crops [B, n, s, s, 3].

    Returns:
        Crops [n * B, s, s, 3].
    """
    return tf.concat(tf.unstack(crops, axis=1), axis=0)


def unflatten(rows: tf.Tensor, num_crops: int) -> tf.Tensor:
    """Splits crop-major rows into an axis of crops and an axis of images.

    Args:
        rows: Rows [V * B, ...].
        num_crops: V.

    Returns:
        Tensor [V, B, ...].
    """
    return tf.reshape(rows, [num_crops, -1, *rows.shape[1:]])


def pixels_of_crop(side: int, map_side: int, padded_side: int) -> int:
    """Returns the number of a map's pixels, along one side, that belong to a crop.

    For each of them the nearest pixel of the padded crop, rounded down as in PyTorch, lies in the crop.

    Args:
        side: Side of the crop.
        map_side: Side of the map.
        padded_side: Side of the crop with its padding.
    """
    return sum(pixel * padded_side // map_side < side for pixel in range(map_side))


@keras.saving.register_keras_serializable(package="seer_tf")
class SwavModel(Encoder, keras.Model):
    """A model from uint8 crops to embeddings and prototype scores."""

    def __init__(
        self,
        backbone: keras.Model,
        head: SwavHead,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        pads_crops: bool = False,
        name: str = "swav_model",
        **kwargs: Any,
    ) -> None:
        """Joins a backbone and a head.

        Args:
            backbone: Model from normalised images [B, s, s, 3] to [B, h, w, C].
            head: Layer from pooled features [N, C] to embeddings and scores.
            mean: Mean of the red, green and blue channel, for images between 0 and 1.
            std: Standard deviation of these channels.
            pads_crops: Whether smaller crops are padded with zeros and all go through the backbone together.
            name: Name of the model.
            **kwargs: Further arguments of `keras.Model`.
        """
        super().__init__(name=name, **kwargs)
        self.backbone, self.head, self.pads_crops = backbone, head, pads_crops
        self.mean, self.std = tuple(mean), tuple(std)
        if not head.built:
            head.build((None, backbone.output_shape[-1]))
        self.built = True

    def call(self, crops: tuple[tf.Tensor, ...], training: bool | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Embeds and scores all crops.

        Args:
            crops: One uint8 tensor [B, n, s, s, 3] for each crop size, the assigning crops first.
            training: Whether batch normalisation uses the statistics of these crops.

        Returns:
            Embeddings [V * B, D] of unit norm and scores [V * B, K], crop-major, both float32 at least.
        """
        groups = [self.normalize(flatten_crops(group)) for group in crops]  # [n * B, s, s, 3] each
        if self.pads_crops:
            features = self._features_of_padded(groups, training)
        else:
            features = [self.features(group, training=training) for group in groups]
        return self.head(tf.concat(features, axis=0), training=training)

    def _features_of_padded(self, groups: Sequence[tf.Tensor], training: bool | None) -> list[tf.Tensor]:
        """Returns the pooled features [n * B, C] of each group of normalised crops, by one pass."""
        sides = [group.shape[1] for group in groups]
        largest = max(sides)
        padded = [
            tf.pad(group, [[0, 0], [0, largest - side], [0, largest - side], [0, 0]])
            for group, side in zip(groups, sides, strict=True)
        ]
        maps = self.backbone(tf.concat(padded, axis=0), training=training)  # [V * B, h, w, C]
        of_group = tf.split(maps, [tf.shape(group)[0] for group in groups])
        kept = [pixels_of_crop(side, maps.shape[1], largest) for side in sides]
        return [tf.reduce_mean(part[:, :rows, :rows], axis=[1, 2]) for part, rows in zip(of_group, kept, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "head": keras.saving.serialize_keras_object(self.head),
            "mean": self.mean,
            "std": self.std,
            "pads_crops": self.pads_crops,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "SwavModel":
        """Makes the model that `get_config` describes, with fresh weights."""
        parts = {part: keras.saving.deserialize_keras_object(config[part]) for part in ("backbone", "head")}
        return cls(**{**config, **parts})


def build_swav_model(config: Config, *, synchronized: bool = False) -> SwavModel:
    """Returns the model of a run, with fresh weights, in the run's precision.

    Args:
        config: Run configuration.
        synchronized: Whether several replicas share their batch normalisation statistics, in the config's groups.

    Raises:
        InputError: The config names no existing network.
    """
    layer_kwargs: dict[str, Any] = {
        "synchronized": synchronized,
        "group_replicas": config.run.batch_norm_group_replicas,
        "dtype": config.run.precision,
    }
    backbone = build_backbone(config.backbone, **layer_kwargs)
    head = SwavHead(
        config.head.hidden_dims,
        config.head.embedding_dim,
        config.head.num_prototypes,
        batch_norm=config.head.batch_norm,
        **layer_kwargs,
    )
    crops = config.crops
    return SwavModel(backbone, head, crops.mean, crops.std, pads_crops=crops.padded, dtype=config.run.precision)


def check_images(config: Config, num_images: int) -> None:
    """Raises an error if there are more prototypes than images.

    Args:
        config: Run configuration.
        num_images: Number of images in the run's source.

    Raises:
        InputError: There are more; the message names the field to change.
    """
    if config.head.num_prototypes > num_images:
        raise InputError(
            f"head.num_prototypes={config.head.num_prototypes} is larger than {config.data.source}, which has "
            f"{counted(num_images, 'image')}; lower it, e.g. `head.num_prototypes={max(2, num_images // 10)}`"
        )
