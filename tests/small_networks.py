"""Small networks that are traced quickly, for tests of the training step."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import Config, PretrainingConfig
from seer_tf.config.two_views import TwoViewConfig
from seer_tf.methods.swav.model import SwavModel
from seer_tf.models import RegNetY, SwavHead
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.models.heads.projection import Projection
from seer_tf.models.layers import BatchNormalization, Conv2D
from seer_tf.models.projection_model import ProjectionModel
from seer_tf.pretraining.recipes import recipe


@keras.saving.register_keras_serializable(package="tests")
class Gain(keras.layers.Layer):
    """Computes sqrt(gain * x). For a black pixel the value is zero, but the derivative by the gain is a NaN."""

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.sqrt(self.gain * inputs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config()  # Keras asks for this method, because a dtype policy is among the arguments.


def small_config(*assignments: str) -> Config:
    """Returns recipe debug_tiny with five prototypes, crops of 8 and 4 px, and the given assignments."""
    settings = ("crops.sizes_px=8,4", "head.num_prototypes=5", "head.batch_norm=false", *assignments)
    return configs.validate(configs.override(recipe("debug_tiny"), settings))


def small_model(config: Config, *, batch_norm: bool = False, synchronized: bool = False) -> SwavModel:
    """Returns a gain, two convolutions and the config's head, for images with values between 0 and 1.

    Args:
        config: Run configuration. Head, precision and seed are used.
        batch_norm: Whether there is batch norm between the convolutions.
        synchronized: Whether batch norm is synchronised over all replicas.
    """
    keras.utils.set_random_seed(config.run.seed)
    policy = keras.dtype_policies.get(config.run.precision)
    backbone = _small_backbone(policy, batch_norm=batch_norm, synchronized=synchronized)
    return SwavModel(backbone, _head(config, synchronized), (0, 0, 0), (1, 1, 1), dtype=policy)


def _small_backbone(policy: keras.DTypePolicy, *, batch_norm: bool, synchronized: bool) -> keras.Model:
    image = keras.Input((None, None, 3), dtype=policy.variable_dtype)
    x = Conv2D(8, 3, strides=2, name="conv1", dtype=policy)(Gain(name="gain", dtype=policy)(image))
    if batch_norm:
        x = BatchNormalization(synchronized=synchronized, name="bn", dtype=policy)(x)
    x = keras.layers.ReLU(dtype=policy)(x)
    x = keras.layers.ReLU(dtype=policy)(Conv2D(16, 3, strides=2, name="conv2", dtype=policy)(x))
    return keras.Model(image, x, name="small")


def small_projection_model(
    config: TwoViewConfig, *, predictor_dims: Sequence[int] = (), synchronized: bool = False
) -> ProjectionModel:
    """Returns a gain, two convolutions with batch norm between them and the config's heads, for images from 0 to 1.

    The function takes the arguments of `build_projection_model`. The weights are equal with and without a predictor.
    """
    keras.utils.set_random_seed(config.run.seed)
    policy, head = keras.dtype_policies.get(config.run.precision), config.head
    backbone = _small_backbone(policy, batch_norm=True, synchronized=synchronized)
    own: dict[str, Any] = {"synchronized": synchronized, "dtype": policy, "final_batch_norm": head.final_batch_norm}
    projection = Projection(head.hidden_dims, head.embedding_dim, **own)
    predictor = Projection(predictor_dims, head.embedding_dim, name="predictor", **own) if predictor_dims else None
    return ProjectionModel(backbone, projection, (0, 0, 0), (1, 1, 1), predictor=predictor, dtype=policy)


def two_stage_model(config: Config) -> SwavModel:
    """Returns a RegNetY of two stages with the config's head.

    The network has squeeze-and-excitation and grouped convolutions.
    """
    return _regnet_model(config, 2, synchronized=False)


def one_stage_model(config: Config, *, synchronized: bool) -> SwavModel:
    """Returns a RegNetY of one stage with the config's head.

    Args:
        config: Run configuration. Head, precision, activation checkpointing and seed are used.
        synchronized: Whether batch norm is synchronised over all replicas.
    """
    return _regnet_model(config, 1, synchronized=synchronized)


def stages_design(num_stages: int) -> RegNetDesign:
    """Returns a design whose stages have one block each, with 16 channels in two groups, then 32 in four groups."""
    return RegNetDesign(depth=num_stages, w_0=16, w_a=16.0, w_m=2.0, group_width=8)


def _regnet_model(config: Config, num_stages: int, *, synchronized: bool) -> SwavModel:
    keras.utils.set_random_seed(config.run.seed)
    policy = config.run.precision
    backbone = RegNetY(
        design=stages_design(num_stages),
        stem_width=8,
        stem_stride=1,
        synchronized=synchronized,
        activation_checkpointing=config.backbone.activation_checkpointing,
        dtype=policy,
    )
    return SwavModel(backbone, _head(config, synchronized), config.crops.mean, config.crops.std, dtype=policy)


def _head(config: Config, synchronized: bool) -> SwavHead:
    head = config.head
    return SwavHead(
        head.hidden_dims,
        head.embedding_dim,
        head.num_prototypes,
        batch_norm=head.batch_norm,
        synchronized=synchronized,
        dtype=config.run.precision,
    )


def random_crops(config: PretrainingConfig, num_images: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Returns a batch of noise without black pixels: uint8 [B, crops, side, side, 3] for each crop size."""
    random = np.random.default_rng(seed)
    return tuple(
        random.integers(1, 256, (num_images, num, side, side, 3)).astype(np.uint8)
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )


def shared_out(crops: tuple[np.ndarray, ...], strategy: tf.distribute.Strategy) -> tuple[tf.Tensor, ...]:
    """Returns a global batch in which each replica has its slice."""
    parts = [np.split(group, strategy.num_replicas_in_sync) for group in crops]
    return strategy.experimental_distribute_values_from_function(
        lambda context: tuple(tf.constant(part[context.replica_id_in_sync_group]) for part in parts)
    )
