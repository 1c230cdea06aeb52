"""RegNetY's forward pass, and forward and backward pass, beside PyTorch: three networks, two sizes, two precisions.

Forward is inference (moving statistics, no gradient). Forward and backward is training, up to the gradients of all
weights. The comparison in bfloat16 also has our own float32. The floor does not count bytes, because a network may keep
its activations in the caches.
"""

import functools
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf
import torch

from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.floors import Work
from benchmarks.harness.settings import Settings
from benchmarks.peers import torch_regnet
from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet import design

_IMAGES = {("400MF", 96): 32, ("400MF", 224): 16, ("4GF", 96): 16, ("4GF", 224): 8, ("16GF", 96): 8, ("16GF", 224): 4}
_QUICK_IMAGES = {("90MF", 32): 2}
_PRECISIONS = ("float32", "bfloat16")


def cases(settings: Settings) -> Iterator[Case]:
    """Yields forward, and forward + backward, for each network, size and precision."""
    kinds = settings.torch_kinds
    for (variant, size_px), num_images in (_QUICK_IMAGES if settings.quick else _IMAGES).items():
        for precision in _PRECISIONS:
            for what, measure in (("forward", _forward), ("forward + backward", _forward_and_backward)):
                title = f"{what}, RegNetY-{variant}, {num_images} images of {size_px} px, {precision}"
                yield Case(title, functools.partial(measure, kinds, variant, num_images, size_px, precision))


def _forward(
    kinds: Mapping[str, bool], variant: str, num_images: int, size_px: int, precision: str, title: str, rounds: int
) -> Comparison:
    images = _images(num_images, size_px)
    contestants = _ours(_our_features, variant, images, precision)
    for name, compiled in kinds.items():
        contestants[name] = torch_regnet.forward(
            torch_regnet.torch_regnet(variant), _as_torch(images), getattr(torch, precision), compiled=compiled
        )
    work = Work(flops=_forward_flops(variant, num_images, size_px))
    return compare(title, contestants, rounds=rounds, work=work, num_images=num_images)


def _forward_and_backward(
    kinds: Mapping[str, bool], variant: str, num_images: int, size_px: int, precision: str, title: str, rounds: int
) -> Comparison:
    images = _images(num_images, size_px)
    contestants = _ours(_our_gradients, variant, images, precision)
    for name, compiled in kinds.items():
        contestants[name] = torch_regnet.forward_and_backward(
            torch_regnet.torch_regnet(variant), _as_torch(images), getattr(torch, precision), compiled=compiled
        )
    # A backward pass has two convolutions for each convolution in the forward pass.
    work = Work(flops=3 * _forward_flops(variant, num_images, size_px))
    return compare(title, contestants, rounds=rounds, work=work, num_images=num_images)


def _ours(
    contestant: Callable[[RegNetY, tf.Tensor], Contestant], variant: str, images: tf.Tensor, precision: str
) -> dict[str, Contestant]:
    ours = {"seer_tf": contestant(_network(variant, precision), images)}
    if precision != "float32":
        ours["seer_tf float32"] = contestant(_network(variant, "float32"), images)
    return ours


def _our_features(network: RegNetY, images: tf.Tensor) -> Contestant:
    return tf.function(lambda: tf.reduce_mean(network(images, training=False), axis=[1, 2]))


def _our_gradients(network: RegNetY, images: tf.Tensor) -> Contestant:
    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            features = tf.reduce_mean(network(images, training=True), axis=[1, 2])
            loss = tf.reduce_mean(tf.square(tf.cast(features, tf.float32)))
        return tape.gradient(loss, network.trainable_variables)

    return gradients  # on a CPU the function has finished when it returns, and `numpy` would copy every gradient


def _network(variant: str, precision: str) -> RegNetY:
    return RegNetY(variant, dtype="float32" if precision == "float32" else f"mixed_{precision}")


def _images(num_images: int, size_px: int) -> tf.Tensor:
    return tf.random.stateless_normal([num_images, size_px, size_px, 3], seed=[0, 0])


def _as_torch(images: tf.Tensor) -> torch.Tensor:
    return torch.from_numpy(images.numpy()).permute(0, 3, 1, 2)  # channels last


def _forward_flops(variant: str, num_images: int, size_px: int) -> int:
    return 2 * num_images * design.multiply_adds(design.design(variant), size_px=size_px)
