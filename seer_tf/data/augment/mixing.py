"""RandAugment, MixUp and CutMix by the layers of Keras, each as a function of a seed.

The layers draw from a generator that counts its draws. A run that continues would have to restore that count for each
thread of the input pipeline. Here the layers get a generator that derives every draw from the seed of the image or of
the step.

B images, L classes, S side in px.
"""

from typing import Any

import keras
import tensorflow as tf


class DerivedSeeds(keras.random.SeedGenerator):
    """A generator for the layers of Keras whose seeds are functions of one seed and the number of the draw."""

    def __init__(self, seed: tf.Tensor) -> None:
        """Takes `seed`, an integer tensor `[2]`, instead of the variable that the base class creates."""
        self.name, self._seed, self._num_drawn = "derived_seeds", seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the seed of the next draw."""
        self._num_drawn += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._num_drawn)


class RandAugment:
    """Some of eleven operations, drawn for each image (Cubuk et al., arXiv 1909.13719), as `keras.layers.RandAugment`.

    Keras draws the same operations for a whole batch, and computes all operations for each one that it uses. Here each
    image has its own operations, and only these are computed; the result equals that of Keras for a batch of one. The
    strength is defined as in Keras: a fraction of the range of each operation, and of a full turn for rotations.
    """

    def __init__(self, num_operations: int, strength: float) -> None:
        """Takes the number of operations per image, and their strength from 0 to 1."""
        self._layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=num_operations, factor=strength)

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Augments an image, uint8 `[S, S, 3]`, with an integer seed `[2]`; returns uint8 `[S, S, 3]`."""
        images: tf.Tensor = tf.cast(image, tf.float32)[tf.newaxis]
        self._layer.generator = DerivedSeeds(seed)
        drawn = self._layer.get_random_transformation(images)
        for number in tf.unstack(drawn["layer_idxes"]):
            images = tf.switch_case(number, [self._operation(images, *item) for item in drawn["transforms"].items()])
        return tf.ensure_shape(tf.saturate_cast(tf.round(images[0]), tf.uint8), image.shape)

    def _operation(self, images: tf.Tensor, name: str, transformation: Any) -> Any:
        layer = getattr(self._layer, name)
        return lambda: tf.cast(layer.transform_images(images, transformation), tf.float32)


class Mixing:
    """Mixes each image of a batch with another image of the batch, and their targets in the same proportion.

    If both MixUp and CutMix are given, each batch uses one of them, with equal probability.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float) -> None:
        """Creates the layers of Keras. They create variables, which are not used, so call this outside `tf.function`.

        Args:
            mixup_alpha: Parameter of MixUp (arXiv 1710.09412); 0 turns it off.
            cutmix_alpha: Parameter of CutMix (arXiv 1905.04899); 0 turns it off.
        """
        self._layers: list[keras.layers.Layer] = []
        if mixup_alpha:
            self._layers.append(keras.layers.MixUp(mixup_alpha))
        if cutmix_alpha:
            self._layers.append(keras.layers.CutMix((cutmix_alpha, cutmix_alpha)))

    def __call__(self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes a batch.

        Args:
            images: Images, uint8 `[B, S, S, 3]`.
            targets: Targets, float `[B, L]`.
            seed: Seed of the draws, integer `[2]`.

        Returns:
            Mixed images, rounded to whole levels, uint8 `[B, S, S, 3]`, and mixed targets, float `[B, L]`.
        """
        seeds, results = DerivedSeeds(seed), []
        for layer in self._layers:
            drawn = layer.get_random_transformation({"images": images, "labels": targets}, seed=seeds)
            mixed_targets = layer.transform_labels(tf.cast(targets, tf.float32), drawn)
            mixed_images = tf.saturate_cast(tf.round(layer.transform_images(images, drawn)), tf.uint8)
            results.append((mixed_images, tf.cast(mixed_targets, targets.dtype)))
        if len(results) < 2:
            return results[0] if results else (images, targets)
        first = tf.random.stateless_uniform([], seeds.next()) < 0.5
        (images, targets), (other_images, other_targets) = results
        return tf.where(first, images, other_images), tf.where(first, targets, other_targets)
