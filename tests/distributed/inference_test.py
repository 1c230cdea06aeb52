"""A function of images on several devices: each row comes from its own image, for every batch size."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.distributed.inference import InferenceDevices
from tests.replicas import two_replicas


@pytest.mark.multi_replica
def test_every_image_once_in_order_on_all_devices():
    """The model is on both devices. The test fails if the devices' slices are swapped or the padding is kept."""
    devices = InferenceDevices(two_replicas())
    with devices.scope():
        weight = tf.Variable(3.0)

    def function(images: tf.Tensor) -> dict[str, tf.Tensor]:
        replica = tf.fill([len(images)], collectives.replica_id())
        return {"mean": weight * tf.reduce_mean(tf.cast(images, tf.float32), [1, 2]), "replica": replica}

    spread = devices.spread(function, tf.TensorSpec([None, 4, 4, 3], tf.uint8))
    for num_images in (1, 2, 5):
        images = np.random.default_rng(num_images).integers(0, 256, [num_images, 4, 4, 3], np.uint8)
        found = spread(tf.constant(images))
        np.testing.assert_allclose(found["mean"], 3 * images.mean(axis=(1, 2)), rtol=1e-6)
    assert found["replica"].numpy().tolist() == [0, 0, 0, 1, 1]
