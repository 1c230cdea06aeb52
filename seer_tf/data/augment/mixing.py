"""RandAugment, MixUp and CutMix by Keras's own layers, each a function of a seed.

The layers draw from a generator that counts what it has drawn, which a run that continues would have to bring back, for
each thread of the input pipeline. Here they are given one that derives every draw from the seed of the image or of the
step.

B images, L classes, S side in px.
"""

from typing import Any

import keras
import tensorflow as tf


class DerivedSeeds(keras.random.SeedGenerator):
    """Gives the draws of Keras's layers seeds that follow from one seed and the number of the draw."""

    def __init__(self, seed: tf.Tensor) -> None:
        """`seed` is an integer tensor `[2]`. It takes the place of the variable that the base class would make."""
        self.name, self._seed, self._num_drawn = "derived_seeds", seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the seed of the next draw."""
        self._num_drawn += 1
        return tf.random.experimental.stateless_fold_in(self._seed, self._num_drawn)


class RandAugment:
    """Some of eleven operations, drawn for each image (Cubuk et al., arXiv 1909.13719), as `keras.layers.RandAugment`.

    Keras computes all of its operations for each one that it takes, and draws the same for a whole batch. Here each
    image has its own, and only those that were drawn are computed; the result is what Keras makes of a batch of one.
    Its strength is Keras's: a share of each operation's range, and of a whole turn where it rotates.
    """

    def __init__(self, num_operations: int, strength: float) -> None:
        """Takes how many operations an image gets, and how strong they are, from 0 to 1."""
        self._layer = keras.layers.RandAugment(value_range=(0, 255), num_ops=num_operations, factor=strength)

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the image changed, uint8 `[S, S, 3]`, of uint8 `[S, S, 3]` and an integer seed `[2]`."""
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
    """Mixes each image of a batch with another of it, and their targets alike.

    With both ways each batch goes one of them, by a fair coin.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float) -> None:
        """Makes Keras's layers; not inside of a `tf.function`, since they have variables, which are not used.

        Args:
            mixup_alpha: of MixUp (arXiv 1710.09412); 0 for none.
            cutmix_alpha: of CutMix (arXiv 1905.04899); 0 for none.
        """
        self._layers: list[keras.layers.Layer] = []
        if mixup_alpha:
            self._layers.append(keras.layers.MixUp(mixup_alpha))
        if cutmix_alpha:
            self._layers.append(keras.layers.CutMix((cutmix_alpha, cutmix_alpha)))

    def __call__(self, images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns images, rounded to whole levels, uint8 `[B, S, S, 3]`, and targets, float `[B, L]`.

        Args:
            images: uint8 `[B, S, S, 3]`.
            targets: float `[B, L]`.
            seed: integer `[2]`.
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
