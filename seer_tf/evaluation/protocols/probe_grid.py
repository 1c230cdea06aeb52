"""Many linear classifiers at once: learning rates, weight decays and stages share each batch of features.

Each classifier is VISSL's `eval_mlp` (batch norm, then a linear layer), trained by VISSL's protocol (SGD with Nesterov
momentum, and a learning rate that falls in steps or by a cosine). The classifiers see the same batches and do not
affect one another.

For images with several classes each classifier is VISSL's `mlp`, a linear layer alone, and the loss is the sigmoid
cross-entropy of `bce_logits_multiple_output_single_target`.

Shapes: B images, G settings, K classes; a stage has P cells, C channels and D = P * C numbers.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
import tensorflow as tf

from seer_tf.errors import InputError
from seer_tf.evaluation.features.label_rows import PRESENT, UNKNOWN, LabelRows
from seer_tf.evaluation.features.rows import Rows
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.progress import Progress

_MOMENTUM = 0.9
_EPSILON, _KEPT = 1e-5, 0.9  # for batch norm: VISSL's BATCHNORM_EPS, and 1 - BATCHNORM_MOMENTUM
_DROP = 0.1
_COSINE_END = 0.01
_REFERENCE_BATCH_SIZE = 256
_ROWS_AT_ONCE = 1024

_DEVICE_IMAGES = 16  # VISSL's BATCHSIZE_PER_REPLICA for Open Images

Batches = Callable[[int], Iterable[tuple[Mapping[str, np.ndarray | tf.Tensor], np.ndarray | tf.Tensor]]]
"""A function from the number of an epoch to its batches: features [B, D] by stage, and labels int [B], or int8 [B, K]
from `LabelRows` for images with several classes."""


@dataclasses.dataclass(frozen=True)
class ProbeRecipe:
    """How the classifiers are trained.

    Attributes:
        learning_rates: Learning rates for a batch of 256 images; scaled in proportion to the actual batch size.
        weight_decays: Weight decays for the linear layer; batch norm has none.
        epochs: Passes over the training images.
        drops_after_epochs: Epochs after which the learning rate is divided by 10; empty for a cosine to a hundredth.
        augmentation: What each epoch sees: "none" for features that are made once, "crops" for new random crops and
            flips, "flips" for whole images with new flips. The last two require the network.
        held_out_fraction: Fraction of the training images on which the best setting is chosen; 0 for a single setting.
        batch_size: Images in a step.
        has_several_labels: Whether images have any number of classes; then there is no batch norm.
    """

    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    epochs: int
    drops_after_epochs: tuple[int, ...]
    augmentation: Literal["none", "crops", "flips"]
    held_out_fraction: float
    batch_size: int = _REFERENCE_BATCH_SIZE
    has_several_labels: bool = False

    @property
    def settings(self) -> tuple[tuple[float, float], ...]:
        """Returns the G pairs of learning rate and weight decay."""
        return tuple(itertools.product(self.learning_rates, self.weight_decays))

    def rate_factor(self, epoch: int) -> float:
        """Returns the factor of the learning rates in an epoch; the first is 0."""
        if self.drops_after_epochs:
            return _DROP ** sum(epoch >= after for after in self.drops_after_epochs)
        return _COSINE_END + (1 - _COSINE_END) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


def _vissl(epochs: int, *drops: int, augmentation: Literal["crops", "flips"] = "crops") -> ProbeRecipe:
    """Returns the recipe in VISSL's `linear_image_classification/*/eval_resnet_8gpu_transfer_*_linear.yaml`."""
    return ProbeRecipe((0.01,), (5e-4,), epochs, drops, augmentation=augmentation, held_out_fraction=0.0)


RECIPES = {
    "grid": ProbeRecipe(
        learning_rates=(0.001, 0.003, 0.01, 0.03, 0.1),
        weight_decays=(0.0, 5e-4, 5e-3, 5e-2),
        epochs=28,
        drops_after_epochs=(8, 16, 24),
        augmentation="none",
        held_out_fraction=0.1,
    ),
    "vissl_imagenet": _vissl(28, 8, 16, 24),
    "vissl_places205": _vissl(14, 4, 8, 12),
    "vissl_inat18": _vissl(84, 24, 48, 72),
    # Caltech-101, DTD, Food-101, KITTI distance, Stanford Cars; then CIFAR-10 and SUN397; then CLEVR's two tasks.
    "vissl_transfer": _vissl(28, 8, 16, 24),
    "vissl_transfer_whole": _vissl(28, 8, 16, 24, augmentation="flips"),
    "vissl_clevr_count": _vissl(50, augmentation="flips"),
    "vissl_clevr_dist": _vissl(100, augmentation="flips"),
    # `openimages/eval_resnet_8gpu_transfer_openimages_linear.yaml`: 0.003 for 64 devices of 16 images.
    "vissl_openimages": ProbeRecipe(
        learning_rates=(0.003 * _REFERENCE_BATCH_SIZE / 1024,),
        weight_decays=(1e-4,),
        epochs=16,
        drops_after_epochs=(2, 4, 6),
        augmentation="crops",
        held_out_fraction=0.0,
        batch_size=1024,
        has_several_labels=True,
    ),
}


class ProbeGrid:
    """The classifiers of all stages and settings.

    Attributes:
        recipe: Recipe of the training.
        curve: Shares of held-out images that were classified correctly after each epoch, [G] by stage.
    """

    def __init__(self, poolings: Mapping[str, Pooling], num_classes: int, recipe: ProbeRecipe, *, seed: int) -> None:
        """Creates the classifiers. At each stage all settings start from the same weights.

        Args:
            poolings: Poolings by stage.
            num_classes: K.
            recipe: Recipe of the training.
            seed: Seed of the initial weights.
        """
        self.recipe = recipe
        self.curve: list[dict[str, np.ndarray]] = []
        self._probes = {stage: _StageProbes(pooling, recipe, num_classes, seed) for stage, pooling in poolings.items()}

    def fit(
        self,
        batches: Batches,
        num_images: int,
        *,
        held_out: Mapping[str, Rows],
        held_out_labels: np.ndarray,
    ) -> None:
        """Trains all classifiers.

        Args:
            batches: Batches of `recipe.batch_size` images; if there are fewer images, a batch has all of them.
            num_images: Number of images in an epoch.
            held_out: Features for the curve, [N, D] by stage; without images there is no curve.
            held_out_labels: Int [N].
        """
        scale = min(self.recipe.batch_size, num_images) / _REFERENCE_BATCH_SIZE
        with Progress(self.recipe.epochs * num_images, "image", "linear probe") as progress:
            for epoch in range(self.recipe.epochs):
                factor = tf.constant(scale * self.recipe.rate_factor(epoch), tf.float32)
                for features, labels in batches(epoch):
                    self._step(dict(features), labels, factor)
                    progress.advance(len(labels))
                if len(held_out_labels):
                    right = self.correct(held_out, held_out_labels)
                    self.curve.append({stage: values.mean(axis=1) for stage, values in right.items()})

    def correct(self, features: Mapping[str, Rows], labels: np.ndarray) -> dict[str, np.ndarray]:
        """Returns which images are classified correctly, bool [G, N] by stage.

        Args:
            features: [N, D] by stage; batch norm uses its moving statistics.
            labels: Int [N].
        """
        right = {}
        for stage, probes in self._probes.items():
            parts = [
                probes.predictions(tf.cast(features[stage][start : start + _ROWS_AT_ONCE], tf.float32)).numpy()
                for start in range(0, len(labels), _ROWS_AT_ONCE)
            ]
            right[stage] = np.concatenate(parts, axis=1) == labels
        return right

    def scores(self, features: Mapping[str, Rows]) -> dict[str, np.ndarray]:
        """Returns the logits of the first setting, float32 [N, K] by stage.

        Args:
            features: [N, D] by stage; batch norm takes its moving statistics.
        """
        return {
            stage: np.concatenate(
                [
                    probes.logits(tf.cast(features[stage][start : start + _ROWS_AT_ONCE], tf.float32))[:, 0].numpy()
                    for start in range(0, len(features[stage]), _ROWS_AT_ONCE)
                ]
            )
            for stage, probes in self._probes.items()
        }

    def best(self) -> tuple[str, int]:
        """Returns stage and number of the setting with the best final held-out accuracy; if equal, the first."""
        last = self.curve[-1]
        return max(((stage, int(np.argmax(share))) for stage, share in last.items()), key=lambda at: last[at[0]][at[1]])

    @tf.function(reduce_retracing=True, jit_compile=True)  # XLA reads and writes the weights less often
    def _step(self, features: dict[str, tf.Tensor], labels: tf.Tensor, factor: tf.Tensor) -> None:
        for stage, probes in self._probes.items():
            probes.step(tf.cast(features[stage], tf.float32), labels, factor)


class _StageProbes:
    """The classifiers of one stage. The trailing axes of all weights are [G, K] or [G, 1], to match settings [G, 1]."""

    def __init__(self, pooling: Pooling, recipe: ProbeRecipe, num_classes: int, seed: int) -> None:
        settings = recipe.settings
        cells, channels, count = pooling.rows * pooling.columns, pooling.channels, len(settings)
        self._has_batch_norm = not recipe.has_several_labels
        self._losses = _binary_losses if recipe.has_several_labels else _softmax_losses
        bound = pooling.dim**-0.5  # PyTorch's initialisation of a linear layer, which VISSL keeps
        kernel, bias = (
            tf.random.stateless_uniform([*shape, 1, num_classes], [seed, number], -bound, bound)
            for number, shape in enumerate([(cells, channels), ()])
        )
        self._kernel = tf.Variable(tf.repeat(kernel, count, axis=2))  # [P, C, G, K]
        self._bias = tf.Variable(tf.repeat(bias, count, axis=0))  # [G, K]
        self._gamma, self._beta = (
            tf.Variable(tf.ones([channels, count, 1])),
            tf.Variable(tf.zeros([channels, count, 1])),
        )
        self._decayed = (self._kernel, self._bias)
        self._free = (self._gamma, self._beta) if self._has_batch_norm else ()
        self._velocities = [tf.Variable(tf.zeros_like(weight)) for weight in (*self._decayed, *self._free)]
        self._mean, self._variance = tf.Variable(tf.zeros([channels])), tf.Variable(tf.ones([channels]))
        self._rates = tf.constant([[rate] for rate, _ in settings])  # [G, 1]
        self._decays = tf.constant([[decay] for _, decay in settings])  # [G, 1]

    def step(self, features: tf.Tensor, labels: tf.Tensor, factor: tf.Tensor) -> None:
        """Updates every classifier once. As in PyTorch, the velocity does not contain the learning rate."""
        weights = (*self._decayed, *self._free)
        with tf.GradientTape() as tape:
            statistics = self._batch_statistics(features) if self._has_batch_norm else self._moving_statistics()
            losses = self._losses(self._logits(features, *statistics), labels)  # [G]
            loss = tf.reduce_sum(losses)  # a sum, so the classifiers' gradients stay apart
        for weight, velocity, gradient in zip(weights, self._velocities, tape.gradient(loss, weights), strict=True):
            if any(weight is decayed for decayed in self._decayed):
                gradient += self._decays * weight
            velocity.assign(_MOMENTUM * velocity + gradient)
            weight.assign_sub(factor * self._rates * (gradient + _MOMENTUM * velocity))

    @tf.function(reduce_retracing=True)
    def predictions(self, features: tf.Tensor) -> tf.Tensor:
        """Returns the classes, int64 [G, B], of features [B, D]."""
        return tf.transpose(tf.argmax(self._logits(features, *self._moving_statistics()), axis=2))

    @tf.function(reduce_retracing=True)
    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Returns [B, G, K] of features [B, D]."""
        return self._logits(features, *self._moving_statistics())

    def _moving_statistics(self) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.convert_to_tensor(self._mean), tf.convert_to_tensor(self._variance)

    def _batch_statistics(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the batch's mean and variance. Updates the moving ones; their variance is unbiased, as in PyTorch."""
        values = tf.reshape(features, [-1, len(self._mean)])  # [B P, C]
        mean, variance = tf.nn.moments(values, axes=[0])
        count = tf.cast(tf.shape(values)[0], tf.float32)
        self._mean.assign(_KEPT * self._mean + (1 - _KEPT) * mean)
        self._variance.assign(_KEPT * self._variance + (1 - _KEPT) * variance * count / tf.maximum(count - 1.0, 1.0))
        return mean, variance

    def _logits(self, features: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        """Returns logits [B, G, K]. Batch norm's scale and offset are folded into the linear layer, for one product."""
        cells, channels, count, num_classes = self._kernel.shape
        values = tf.reshape(features, [-1, cells, channels])  # [B, P, C]
        if self._has_batch_norm:
            values = (values - mean) * tf.math.rsqrt(variance + _EPSILON)
        kernel = tf.reshape(self._gamma * self._kernel, [cells * channels, count * num_classes])  # [D, G K]
        logits = tf.matmul(tf.reshape(values, [-1, cells * channels]), kernel)  # [B, G K]
        offset = tf.reduce_sum(self._beta * self._kernel, axis=[0, 1])  # [G, K]
        return tf.reshape(logits, [-1, count, num_classes]) + offset + self._bias


def _softmax_losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-entropy of each setting, [G], of logits [B, G, K] and labels int [B]."""
    targets = tf.repeat(tf.cast(labels, tf.int32)[:, None], logits.shape[1], axis=1)  # [B, G]
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits), axis=0)


def _binary_losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns the sigmoid cross-entropy of each setting, [G], summed over the classes.

    As in VISSL each device averages, for each class, over its images for which the class is known. Then the devices are
    averaged. A batch that cannot be divided into 16 images for each device counts as one device's.

    Args:
        logits: [B, G, K].
        labels: Int8 [B, K] of `LabelRows`.
    """
    num_devices = logits.shape[0] // _DEVICE_IMAGES if logits.shape[0] % _DEVICE_IMAGES == 0 else 1
    is_known = tf.cast(labels != UNKNOWN, logits.dtype)[:, None]  # [B, 1, K]
    targets = tf.cast(labels == PRESENT, logits.dtype)[:, None] + tf.zeros_like(logits)  # [B, G, K]
    entropies = is_known * tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
    of_device, known = (tf.reshape(x, [num_devices, -1, *x.shape[1:]]) for x in (entropies, is_known))
    sums = tf.reduce_sum(of_device, axis=1) / tf.maximum(tf.reduce_sum(known, axis=1), 1.0)  # [devices, G, K]
    return tf.reduce_sum(tf.reduce_mean(sums, axis=0), axis=1)


def shuffled_batches(
    features: Mapping[str, Rows], labels: np.ndarray | LabelRows, batch_size: int, *, seed: int
) -> Batches:
    """Returns batches of fixed features, in a new order each epoch; images that do not fill a batch are left out.

    Args:
        features: [N, D] by stage.
        labels: Int [N], or `LabelRows`.
        batch_size: Images in a batch, at most N.
        seed: Seed of the orders.
    """
    batch_size = min(batch_size, len(labels))

    def batches(epoch: int) -> Iterable[tuple[dict[str, np.ndarray], np.ndarray]]:
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        for start in range(0, len(labels) - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield {stage: rows[chosen] for stage, rows in features.items()}, labels[chosen]

    return batches


def probe_recipe(name: str) -> ProbeRecipe:
    """Returns the recipe with a name.

    Raises:
        InputError: No recipe has this name.
    """
    if name not in RECIPES:
        raise InputError.unknown("recipe of a linear probe", name, RECIPES)
    return RECIPES[name]
