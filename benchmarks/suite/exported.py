"""An exported network that runs on any CPU, beside a network with one operation for each grouped convolution.

The second network needs oneDNN or a GPU, so it takes part only with one of them, and not with
`TF_ENABLE_ONEDNN_OPTS=0`. The measured signatures of the SavedModel are inference, gradients with the stored statistics
of batch normalisation, and gradients with the statistics of the batch.
"""

import functools
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from benchmarks.harness.comparison import Case, Comparison, Contestant, compare
from benchmarks.harness.settings import Settings
from seer_tf.data.images.transform import Transform
from seer_tf.exporting.writers import saved_model
from seer_tf.models import RegNetY, convolution
from seer_tf.models.convolution import ChoiceAtLoading
from seer_tf.networks.network import Network

_ANYWHERE, _ALONE = "for any machine", "one operation"
_CASES = (("400MF", 1, 224), ("400MF", 16, 96), ("16GF", 4, 96))
_QUICK_CASES = (("90MF", 2, 32),)


def cases(settings: Settings) -> Iterator[Case]:
    """Yields inference and both kinds of gradients for some networks."""
    for variant, num_images, size_px in _QUICK_CASES if settings.quick else _CASES:
        for what, name, learns in (
            ("inference", "serve_float", False),
            ("gradients, stored statistics", "serve_float", True),
            ("gradients, statistics of the batch", "train_float", True),
        ):
            title = f"exported RegNetY-{variant}, {what}, {num_images} images of {size_px} px"
            yield Case(title, functools.partial(_compared, variant, num_images, size_px, name, learns))


def _compared(
    variant: str, num_images: int, size_px: int, name: str, learns: bool, title: str, rounds: int
) -> Comparison:
    keras.utils.set_random_seed(0)
    network = Network(RegNetY(variant), (0.5,) * 3, (0.25,) * 3, Transform(size_px)).selected("backbone")
    crops = tf.random.stateless_normal([num_images, size_px, size_px, 3], seed=[0, 0])
    ways = {_ANYWHERE: ChoiceAtLoading().applied_to, _ALONE: convolution.as_one_operation}
    if not convolution.has_grouped_gradient(crops):
        del ways[_ALONE]
    contestants = {
        way: _contestant(saved_model.signatures(network, prepare)[name], network, crops, learns)
        for way, prepare in ways.items()
    }
    return compare(title, contestants, rounds=rounds, num_images=num_images)


def _contestant(function: Callable, network: Network, crops: tf.Tensor, learns: bool) -> Contestant:
    """Returns a call that computes the features, and with `learns` also their gradients."""
    if not learns:
        return lambda: function(crops)
    variables = [variable.value for variable in network.on_crops.trainable_variables]

    @tf.function
    def gradients() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(function(crops)["features"]))
        return tape.gradient(loss, variables)

    return gradients
