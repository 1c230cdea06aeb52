"""Extraction of features: runs every image of a data set through a function once, in order."""

import hashlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.distributed.inference import InferenceDevices
from seer_tf.errors import InputError
from seer_tf.evaluation.features.stages import StageFeatures
from seer_tf.models import Encoder
from seer_tf.progress import Progress

# B images, h x w pixels, C feature channels
ImageFeatures = Callable[[tf.Tensor], tf.Tensor]
"""A function from images, uint8 [B, h, w, 3], to features, float32 [B, C]."""


def image_features(model: Encoder) -> ImageFeatures:
    """Returns a function from images to the pooled last stage of the backbone, with batch norm in inference mode.

    The projection head and the prototypes serve only pretraining, so they are left out. SwAV, section 4.1, evaluates
    the backbone in the same way.
    """
    return lambda images: model.features(model.normalize(images), training=False)  # [B, C]


def extract(
    features: StageFeatures, images: tf.data.Dataset, num_images: int, *, label: str = "features"
) -> dict[str, np.ndarray]:
    """Runs every image of a data set through `features`.

    Args:
        features: Function from uint8 [B, h, w, 3] to float [B, D] by stage.
        images: Batches of uint8 [b, h, w, 3], each image once.
        num_images: Total number of images, N.
        label: Text of the progress line.

    Returns:
        Float32 [N, D] by stage, in the order of the data set.

    Raises:
        InputError: `feature_batches` raises it.
    """
    numbers = [f"image {number}" for number in range(num_images)]
    batches = list(feature_batches(features, images, numbers, label=label))
    return {stage: np.concatenate([batch[stage] for batch in batches]) for stage in batches[0]}


def feature_batches(
    features: StageFeatures,
    images: tf.data.Dataset,
    ids: Sequence[str],
    *,
    devices: InferenceDevices | None = None,
    label: str = "features",
) -> Iterator[dict[str, np.ndarray]]:
    """Runs every image of a data set through `features`, batch by batch.

    Args:
        features: Function from uint8 [B, h, w, 3] to float [B, D] by stage.
        images: Batches of uint8 [b, h, w, 3], each image once.
        ids: Names of the images, in the order of the data set.
        devices: Devices that compute; None for one device.
        label: Text of the progress line.

    Yields:
        Float32 [b, D] by stage, for each batch.

    Raises:
        InputError: An image cannot be read, there are more or fewer images than names, or a feature is not a finite
            number.
    """
    compiled = (devices or InferenceDevices()).spread(features, images.element_spec)
    num_read = 0
    with Progress(len(ids), "image", label) as progress, unreadable_images_named():
        for batch in images:
            found = {stage: tf.cast(values, tf.float32).numpy() for stage, values in compiled(batch).items()}
            for stage, values in found.items():
                _check_finite(stage, values, ids[num_read:])
            yield found
            num_read += len(batch)
            progress.advance(len(batch))
    if num_read != len(ids) or not num_read:
        raise InputError(f"the data has {num_read} readable images instead of the {len(ids)} listed; prepare it again")


def model_digest(encoder: Encoder) -> str:
    """Returns a hash of the weights and the normalisation, which identifies a model."""
    digest = hashlib.blake2b(repr((tuple(encoder.mean), tuple(encoder.std))).encode(), digest_size=8)
    for variable in encoder.backbone.variables:
        digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


def _check_finite(stage: str, values: np.ndarray, ids: Sequence[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise InputError(
            f"the {stage} features of {ids[bad[0]]} are not finite numbers, so the checkpoint is useless; evaluate an "
            "earlier checkpoint or a new run"
        )
