import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.distributed import collectives
from seer_tf.models import layers
from seer_tf.models.layers import BatchNormalization, Conv2D, SqueezeExcitation
from tests.places import ROOT
from tests.references.regnet import convolve
from tests.replicas import replicas, two_replicas

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 3e-2, "float16": 3e-3}


def _gradients(layer: keras.layers.Layer, x: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gradients of sum(layer(x) * upstream) by x and by the kernel, from a graph, in float64."""

    @tf.function
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * tf.cast(upstream, y.dtype))
        return tape.gradient(loss, [x, layer.kernel.value])

    by_x, by_kernel = gradients(tf.constant(x, layer.compute_dtype))
    return tf.cast(by_x, tf.float64).numpy(), tf.cast(by_kernel, tf.float64).numpy()


def _oracle_gradients(
    x: np.ndarray, kernel: np.ndarray, upstream: np.ndarray, *, strides: int, groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the gradients of the oracle.

    A convolution is linear in each argument, so unit vectors give the gradient.
    """
    by_kernel = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        unit = np.zeros_like(kernel)
        unit[index] = 1
        by_kernel[index] = np.sum(convolve(x, unit, strides=strides, groups=groups) * upstream)
    by_x = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        unit = np.zeros_like(x)
        unit[index] = 1
        by_x[index] = np.sum(convolve(unit, kernel, strides=strides, groups=groups) * upstream)
    return by_x, by_kernel


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("strides", [1, 2])
def test_grouped_convolution_trains_in_every_dtype(dtype: str, strides: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 5, 6))
    layer = Conv2D(6, 3, strides=strides, groups=3, dtype=dtype)
    layer.build(x.shape)
    kernel = random.normal(size=layer.kernel.shape)
    layer.kernel.assign(kernel)
    outputs = convolve(x, kernel, strides=strides, groups=3)
    upstream = random.normal(size=outputs.shape)
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(tf.cast(layer(x), tf.float64), outputs, rtol=tolerance, atol=3 * tolerance)
    assert layer.compute_output_shape(x.shape) == outputs.shape
    theirs = _oracle_gradients(x, kernel, upstream, strides=strides, groups=3)
    for gradient, expected in zip(_gradients(layer, x, upstream), theirs, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=12 * tolerance)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_ungrouped_convolution_equals_the_oracle(kernel_size: int, strides: int) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
    layer = Conv2D(7, kernel_size, strides=strides, dtype="float64")
    outputs = layer(x)
    np.testing.assert_allclose(outputs, convolve(x, layer.kernel.numpy(), strides=strides), rtol=1e-12, atol=1e-14)
    assert outputs.shape == layer.compute_output_shape(x.shape)


_TRAIN_EVERY_DTYPE = """
import tensorflow as tf
from seer_tf.models.layers import Conv2D

for dtype in ("float32", "bfloat16", "float16", "float64"):
    layers = [Conv2D(8, 3, groups=4, dtype=dtype), Conv2D(8, 3, strides=2, groups=4, dtype=dtype)]

    @tf.function
    def gradients(x):
        with tf.GradientTape() as tape:
            y = layers[1](layers[0](x))
        return tape.gradient(y, [layer.kernel.value for layer in layers])

    assert all(bool(tf.reduce_any(gradient != 0)) for gradient in gradients(tf.ones([2, 6, 6, 8], dtype)))
    print(dtype)
"""


def test_grouped_convolution_trains_in_every_dtype_without_one_dnn() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN_EVERY_DTYPE],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["float32", "bfloat16", "float16", "float64"], done.stderr


def _normalize(x: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5) * weights[0] + weights[1]


BATCH_NORM_CASES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "fused": ({"dtype": "float32"}, (4, 3, 5, 6)),
    "fused on vectors": ({"dtype": "float32"}, (40, 6)),
    "half precision": ({"dtype": "mixed_bfloat16"}, (4, 3, 5, 6)),
    "half precision on vectors": ({"dtype": "mixed_bfloat16"}, (40, 6)),
    "half precision of a width that oneDNN has": ({"dtype": "mixed_bfloat16"}, (4, 3, 5, 16)),
    "synchronised": ({"dtype": "float32", "synchronized": True}, (4, 3, 5, 6)),
    "synchronised vectors": ({"dtype": "float32", "synchronized": True}, (40, 6)),
    "synchronised half precision": ({"dtype": "mixed_float16", "synchronized": True}, (4, 3, 5, 6)),
    "double": ({"dtype": "float64"}, (4, 3, 5, 6)),
}


@pytest.mark.parametrize("case", BATCH_NORM_CASES)
def test_batch_normalization_equals_its_definition(case: str) -> None:
    kwargs, shape = BATCH_NORM_CASES[case]
    random = np.random.default_rng(1)
    x = random.normal(loc=random.normal(size=shape[-1]), scale=2.0, size=shape)
    gamma, beta = random.normal(size=(2, shape[-1]))
    layer = BatchNormalization(momentum=0.7, **kwargs)
    layer.build(shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    tolerance = 3 * TOLERANCES[layer.compute_dtype]
    outputs = tf.function(layer)(tf.constant(x, layer.compute_dtype), training=True)
    assert outputs.dtype == layer.compute_dtype
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float64), _normalize(x, (gamma, beta)), rtol=tolerance, atol=tolerance
    )
    axes = tuple(range(x.ndim - 1))
    mean, variance = 0.3 * x.mean(axes), 0.7 + 0.3 * x.var(axes, ddof=1)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=min(tolerance, 5e-3))
    inference = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(tf.cast(layer(x), tf.float64), inference, rtol=tolerance, atol=tolerance)


def test_the_paths_of_batch_normalization_have_equal_gradients() -> None:
    x = np.random.default_rng(2).normal(loc=3.0, size=(4, 3, 5, 6)).astype(np.float32)
    gradients = []
    for kwargs in ({"dtype": "float32"}, {"dtype": "float32", "synchronized": True}, {"dtype": "float64"}):
        layer = BatchNormalization(**kwargs)
        with tf.GradientTape() as tape:
            inputs = tf.constant(x, layer.compute_dtype)
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(layer(inputs, training=True)) * inputs)
        found = tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])
        gradients.append([tf.cast(gradient, tf.float64) for gradient in found])
    for path in gradients[:2]:
        for gradient, expected in zip(path, gradients[2], strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("width", "dtype"), [(32, tf.bfloat16), (24, tf.float32)])
def test_bfloat16_is_normalised_in_the_faster_dtype_for_its_width(width: int, dtype: tf.DType) -> None:
    layer = BatchNormalization(dtype="mixed_bfloat16")
    normalized = tf.function(lambda inputs: layer(inputs, training=True))
    inputs = tf.random.stateless_normal([2, 3, 3, width], [0, 0], dtype=tf.bfloat16)
    assert normalized(inputs).dtype == tf.bfloat16
    operations = normalized.get_concrete_function(inputs).graph.get_operations()
    assert [op.get_attr("T") for op in operations if op.type == "FusedBatchNormV3"] == [dtype]


def test_frozen_batch_normalization_keeps_its_statistics() -> None:
    layer = BatchNormalization(trainable=False)
    x = tf.random.stateless_normal([4, 3, 3, 2], seed=(0, 0)) + 1.0
    np.testing.assert_allclose(layer(x, training=True), x / np.sqrt(1 + 1e-5), rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [0.0, 0.0])


def test_shifted_sums_do_not_cancel() -> None:
    random = np.random.default_rng(3)
    x = random.normal(loc=10.0, scale=0.01, size=(64, 4, 4, 2)).astype(np.float32)
    layer = BatchNormalization(synchronized=True, momentum=0.0)
    layer.build(x.shape)
    layer.moving_mean.assign([10.0, 10.0])
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance, x.astype(np.float64).var(axis=(0, 1, 2), ddof=1), rtol=1e-3)


def _outputs_and_gradients(layer: BatchNormalization, x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
    """Returns the outputs, and the gradients by x, gamma and beta."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(outputs) * upstream)
    return [outputs, *tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])]


@pytest.mark.multi_replica
@pytest.mark.parametrize("shape", [(3, 3, 5, 6), (3, 6)])
@pytest.mark.parametrize("group_replicas", [0, 1, 2])
def test_a_group_of_replicas_equals_one_replica_of_its_batch(
    group_replicas: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    num_replicas, num_groups = 4, 4 // (group_replicas or 4)
    random = np.random.default_rng(4)
    batches, upstreams = random.normal(loc=random.normal(size=(2, 4, *[1] * len(shape))), size=(2, 4, *shape))
    moving_mean, moving_variance = random.uniform(0.5, 1.5, size=(2, 6))

    def build(**kwargs: Any) -> BatchNormalization:
        layer = BatchNormalization(synchronized=True, dtype="float64", **kwargs)
        layer.build(shape)
        layer.moving_mean.assign(moving_mean)
        layer.moving_variance.assign(moving_variance)
        return layer

    expected, moved = [], []
    for batch, upstream in zip(np.split(batches, num_groups), np.split(upstreams, num_groups), strict=True):
        alone = build()
        rows = (tf.constant(each.reshape(-1, *shape[1:])) for each in (batch, upstream))
        expected.append(_outputs_and_gradients(alone, *rows))
        moved.append((alone.moving_mean.numpy(), alone.moving_variance.numpy()))

    reductions = []
    all_reduce = collectives.all_reduce

    def counted_all_reduce(x: tf.Tensor) -> tf.Tensor:
        reductions.append(x.shape)
        return all_reduce(x)

    monkeypatch.setattr(collectives, "all_reduce", counted_all_reduce)
    strategy = replicas(num_replicas)
    with strategy.scope():
        layer = build(group_replicas=group_replicas)

    @tf.function
    def step() -> list[tf.Tensor]:
        own = collectives.replica_id()
        return _outputs_and_gradients(layer, tf.gather(tf.constant(batches), own), tf.gather(upstreams, own))

    by_replica = [strategy.experimental_local_results(result) for result in strategy.run(step)]
    of_gradients, of_sums = (num_groups, 2, 6), (num_groups, 13)
    assert sorted(map(tuple, reductions)) == [of_gradients] * num_replicas + [of_sums] * num_replicas
    for ours, theirs in zip(by_replica[:2], zip(*expected, strict=True), strict=False):
        np.testing.assert_allclose(np.concatenate(ours), np.concatenate(theirs), rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(by_replica[2:], list(zip(*expected, strict=True))[2:], strict=True):
        np.testing.assert_allclose(np.sum(ours, axis=0), np.sum(theirs, axis=0), rtol=1e-9, atol=1e-12)
    # The moving statistics change by the mean over the groups, so that all replicas keep equal statistics.
    for variable, values in zip((layer.moving_mean, layer.moving_variance), zip(*moved, strict=True), strict=True):
        for copy in strategy.experimental_local_results(variable.value):
            np.testing.assert_allclose(copy, np.mean(values, axis=0), rtol=1e-12)


@pytest.mark.multi_replica
def test_replicas_without_synchronisation_use_only_their_own_images() -> None:
    strategy = two_replicas()
    with strategy.scope():
        layer = BatchNormalization(momentum=0.0)
        layer.build((4, 2))

    @tf.function
    def step() -> tf.Tensor:
        return layer(tf.fill([4, 2], tf.cast(collectives.replica_id(), tf.float32)), training=True)

    strategy.run(step)
    copies = strategy.experimental_local_results(layer.moving_mean.value)
    np.testing.assert_array_equal(copies, [[0.0, 0.0], [1.0, 1.0]])


def test_squeeze_excitation_gates_every_channel() -> None:
    layer = SqueezeExcitation(2)
    x = tf.random.stateless_normal([3, 4, 5, 6], seed=(0, 0))
    layer.build(x.shape)
    for variable in (layer.expand_kernel, layer.expand_bias):
        variable.assign(tf.zeros(variable.shape))
    np.testing.assert_allclose(layer(x), x / 2)
    layer.expand_bias.assign([100.0, -100.0, 0.0, 100.0, 100.0, 100.0])
    np.testing.assert_allclose(layer(x), x * [1.0, 0.0, 0.5, 1.0, 1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("kernel_size", "strides", "groups", "width", "relu", "in_one"),
    [
        (1, 1, 1, 6, False, True),
        (1, 1, 1, 6, True, True),
        (1, 2, 1, 6, True, True),
        (3, 1, 1, 6, False, True),
        (3, 2, 3, 6, True, True),
        (1, 1, 1, 513, True, False),
        (3, 2, 3, 174, False, False),
    ],
)
def test_in_inference_a_convolution_with_a_small_kernel_includes_the_normalisation(
    dtype: str, kernel_size: int, strides: int, groups: int, width: int, relu: bool, in_one: bool
) -> None:
    """The result equals NumPy's convolution followed by normalisation.

    With a small kernel, no separate pass normalises the activations.
    """
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 4, 5, width))
    conv, bn = Conv2D(6, kernel_size, strides=strides, groups=groups, dtype=dtype), BatchNormalization(dtype=dtype)
    conv.build(x.shape)
    bn.build(conv.compute_output_shape(x.shape))
    conv.kernel.assign(random.normal(size=conv.kernel.shape))
    for variable in bn.variables:
        variable.assign(random.uniform(0.5, 1.5, size=6))
    gamma, beta, mean, variance = (variable.numpy().astype(np.float64) for variable in bn.variables)
    kernel = conv.kernel.numpy().astype(np.float64)
    expected = (convolve(x, kernel, strides=strides, groups=groups) - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    expected = np.maximum(expected, 0) if relu else expected

    @tf.function
    def normalized(inputs: tf.Tensor) -> tf.Tensor:
        return layers.convolved_and_normalized(conv, bn, inputs, relu=relu)

    inputs = tf.constant(x, conv.compute_dtype)
    tolerance = TOLERANCES[conv.compute_dtype] * np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(normalized(inputs), tf.float64), expected, atol=tolerance)
    operations = {op.type for op in normalized.get_concrete_function(inputs).graph.get_operations()}
    assert ("BiasAdd" in operations) == in_one
    assert not in_one or "FusedBatchNormV3" not in operations


def test_in_training_normalisation_updates_its_statistics() -> None:
    conv, bn = Conv2D(2, 1), BatchNormalization()
    x = tf.random.stateless_normal([2, 3, 3, 2], [0, 0])
    conv.build(x.shape)
    bn.build(x.shape)
    y = layers.convolved_and_normalized(conv, bn, x, training=True)
    np.testing.assert_allclose(tf.reduce_mean(y, axis=[0, 1, 2]), [0, 0], atol=1e-6)
    np.testing.assert_allclose(bn.moving_mean.value, 0.1 * tf.reduce_mean(conv(x), axis=[0, 1, 2]), rtol=1e-5)
