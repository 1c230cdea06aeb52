"""Keras's augmentations. Each result depends only on its seed."""

import keras
import numpy as np
import tensorflow as tf

from seer_tf.data.augment.mixing import DerivedSeeds, Mixing, RandAugment


def _images(num_images: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (num_images, 12, 12, 3)).astype(np.uint8)


def test_rand_augment_equals_keras_with_a_seed_for_each_image() -> None:
    """The result equals the result of Keras's layer, in a pipeline, in eager mode, and in another order."""
    ours = RandAugment(2, 0.3)
    images, seeds = _images(8), np.stack([np.full(8, 5), np.arange(8)], axis=1)
    pipeline = tf.data.Dataset.from_tensor_slices((images[::-1], seeds[::-1])).map(ours, num_parallel_calls=2)
    changed = np.stack([image.numpy() for image in pipeline])[::-1]
    for image, seed, found in zip(images, seeds, changed, strict=True):
        layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=2, factor=0.3)
        layer.generator = DerivedSeeds(tf.constant(seed))
        expected = layer(tf.constant(image, tf.float32)[tf.newaxis], training=True)[0]
        # float32 may round a value between two levels to either level.
        np.testing.assert_allclose(found.astype(int), np.clip(np.round(expected), 0, 255), atol=1)
    assert np.mean([np.any(one != other) for one, other in zip(images, changed, strict=True)]) > 0.5


def test_mixing_is_a_function_of_the_seed() -> None:
    images, targets = _images(6), tf.one_hot([0, 1, 2, 0, 1, 2], 3)
    mixing = Mixing(0.5, 0.0)
    one, again, other = (mixing(images, targets, tf.constant([3, seed])) for seed in (1, 1, 2))
    for first, second in zip(one, again, strict=True):
        np.testing.assert_array_equal(first, second)
    assert np.any(one[0] != other[0])
    plain = Mixing(0.0, 0.0)(images, targets, tf.constant([3, 1]))
    np.testing.assert_array_equal(plain[0], images)


def test_targets_are_mixed_with_the_weights_of_their_images() -> None:
    """Each image has one grey level, so the mixed level shows the weights. The targets must have the same weights."""
    levels = np.array([0, 100, 200], np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], [3, 10, 10, 3])
    for mixup_alpha, cutmix_alpha in ((1.0, 0.0), (0.0, 1.0)):
        found, targets = Mixing(mixup_alpha, cutmix_alpha)(images, tf.one_hot([0, 1, 2], 3), tf.constant([0, 4]))
        assert found.dtype == tf.uint8
        np.testing.assert_allclose(np.sum(targets, axis=1), 1.0, rtol=1e-6)
        # CutMix pastes whole pixels but weights the targets by the exact area.
        tolerance = 1.0 if mixup_alpha else 25.0
        np.testing.assert_allclose(np.mean(found, axis=(1, 2, 3)), targets.numpy() @ levels, atol=tolerance)


def test_mixup_and_cutmix_are_chosen_at_random() -> None:
    images, targets = _images(4), tf.one_hot([0, 1, 2, 3], 4)
    mixing, which = Mixing(0.5, 1.0), set()
    for seed in range(12):
        both = mixing(images, targets, tf.constant([0, seed]))[0].numpy()
        pasted = [np.all(np.any(np.all(image == images, axis=-1), axis=0)) for image in both]
        which.add(all(pasted))
    assert which == {True, False}
