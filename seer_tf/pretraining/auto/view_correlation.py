"""View correlation: what two crops of an image have in common before training. It decides whether SwAV starts to learn.

Codes come from one crop and are predicted from another. While scores are small, they grow if the two crops share more
than epsilon / temperature of the scores' variance over images. If the crops share far less, scores shrink, and the loss
stays at chance (docs/lab/results.md). Prototypes are random directions at the start, so scores and embeddings have
the same share.

Shapes: B images, D embedding dimensions.
"""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from seer_tf.config import BackboneConfig, Config
from seer_tf.data.pipelines.pretraining import pretraining_dataset
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.replacing import ReplacingSource
from seer_tf.methods.swav.model import SwavModel, unflatten
from seer_tf.methods.swav.state import initial_model
from seer_tf.training.checkpoints import in_float32

_NUM_IMAGES = 512
_BATCH_SIZE = 64
_VARIANT = "90MF"  # random features of the smallest network give the same result as those of the largest


def view_correlation(config: Config, source: Source) -> float:
    """Returns the correlation over images between two of the largest crops, in an untrained network's embeddings.

    The CPU computes it, because TensorFlow would not give the memory of a GPU back before training.
    The estimate uses 512 pairs of crops, which gives an accuracy of about 0.01. With fewer than 512 images, images are
    used several times.

    Args:
        config: Config that gives crops and head; the network is always the smallest.
        source: The images, at least two.

    Raises:
        InputError: Too many images cannot be decoded.
    """
    with tf.device("CPU:0"):
        return _view_correlation(config, source)


def _view_correlation(config: Config, source: Source) -> float:
    crops = config.crops
    fields = ("sizes_px", "min_area_fractions", "max_area_fractions")
    pair = dataclasses.replace(crops, num=(2,), **{field: getattr(crops, field)[:1] for field in fields})
    backbone = BackboneConfig(variant=_VARIANT, stem_stride=config.backbone.stem_stride)
    model = initial_model(in_float32(dataclasses.replace(config, backbone=backbone, crops=pair)))
    batch_size = min(_BATCH_SIZE, source.num_images)
    batches = pretraining_dataset(
        ReplacingSource(source, config.data.max_bad_fraction),
        pair,
        local_batch_size=batch_size,
        global_batch_size=batch_size,
        first_image_in_batch=0,
        seed=config.run.seed,
        first_step=0,
    )
    looked_at = itertools.islice(batches, -(-_NUM_IMAGES // batch_size))
    with unreadable_images_named():
        in_common, of_first, of_second = np.sum([_sums(model, batch) for batch in looked_at], axis=0)
    return float(in_common / np.sqrt(of_first * of_second))


def _sums(model: SwavModel, batch: tuple[tf.Tensor, ...]) -> np.ndarray:
    """Returns the covariance of the two crops and their two variances, summed over images and dimensions, [3]."""
    embeddings, _ = model(batch, training=True)
    embeddings = unflatten(embeddings, 2).numpy()  # [2, B, D]
    first, second = embeddings - embeddings.mean(axis=1, keepdims=True)
    return np.array([np.sum(first * second), np.sum(first**2), np.sum(second**2)])
