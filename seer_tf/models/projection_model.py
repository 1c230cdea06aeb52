"""Backbone, projection and, for BYOL, predictor as one model for views of images.

Shapes: N images, s x s pixels, D embedding dimensions.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config.two_views import TwoViewConfig
from seer_tf.models.backbones.registry import build_backbone
from seer_tf.models.encoder import Encoder
from seer_tf.models.heads.projection import Projection


class ProjectionModel(Encoder, keras.Model):
    """A model from uint8 images to embeddings.

    Attributes:
        head: Projection of the pooled features.
        predictor: Second projection, on the first; None without one.
    """

    def __init__(
        self,
        backbone: keras.Model,
        head: Projection,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        predictor: Projection | None = None,
        **kwargs: Any,
    ) -> None:
        """Joins the parts.

        Args:
            backbone: Model from normalised images [N, s, s, 3] to [N, h, w, C].
            head: Layer from pooled features [N, C] to embeddings.
            mean: Mean of the red, green and blue channel, for images between 0 and 1.
            std: Standard deviation of these channels.
            predictor: Layer from embeddings to embeddings.
            **kwargs: Further arguments of `keras.Model`.
        """
        super().__init__(**kwargs)
        self.backbone, self.head, self.predictor = backbone, head, predictor
        self.mean, self.std = tuple(mean), tuple(std)
        head.build((None, backbone.output_shape[-1]))
        if predictor is not None:
            predictor.build((None, head.embedding_dim))
        self.built = True

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Embeds images.

        Args:
            images: Uint8 images [N, s, s, 3].
            training: Whether batch normalisation uses the statistics of these images.

        Returns:
            Outputs of the predictor, or else of the projection, [N, D] of any norm, float32 at least.
        """
        embeddings = self.head(self.features(self.normalize(images), training=training), training=training)
        return embeddings if self.predictor is None else self.predictor(embeddings, training=training)


def build_projection_model(
    config: TwoViewConfig, *, predictor_dims: Sequence[int] = (), synchronized: bool = False
) -> ProjectionModel:
    """Returns the model of a config, with initial weights from its seed.

    Backbone and projection get the same weights with and without a predictor.

    Args:
        config: Run configuration.
        predictor_dims: Widths of the predictor's hidden layers; empty for no predictor.
        synchronized: Whether several replicas share their batch normalisation statistics, in the config's groups.

    Raises:
        InputError: The config names no existing network.
    """
    keras.utils.set_random_seed(config.run.seed)
    head, crops = config.head, config.crops
    layer_kwargs: dict[str, Any] = {
        "synchronized": synchronized,
        "group_replicas": config.run.batch_norm_group_replicas,
        "dtype": config.run.precision,
    }
    backbone = build_backbone(config.backbone, **layer_kwargs)
    own = {"batch_norm": head.batch_norm, "final_batch_norm": head.final_batch_norm, **layer_kwargs}
    projection = Projection(head.hidden_dims, head.embedding_dim, **own)
    predictor = Projection(predictor_dims, head.embedding_dim, name="predictor", **own) if predictor_dims else None
    return ProjectionModel(backbone, projection, crops.mean, crops.std, predictor=predictor, dtype=config.run.precision)
