"""Normalisation by shared statistics: its gradient by NumPy, and what it would move and start on a GPU."""

import ast
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.harness import gpu_graph
from seer_tf.models import normalization
from seer_tf.models.layers import BatchNormalization
from tests.places import ROOT

_EPSILON = 1e-3
_TOLERANCES = {"float64": 1e-10, "float32": 1e-5, "bfloat16": 3e-2, "float16": 3e-3}
_IMAGES, _SIDE, _CHANNELS = 17, 4, 16


def _oracle(x: np.ndarray, upstream: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the gradients by x, gamma and beta, where all rows share the statistics."""
    axes = tuple(range(x.ndim - 1))
    scale = 1 / np.sqrt(x.var(axes) + _EPSILON)
    h = (x - x.mean(axes)) * scale
    by_x = gamma * scale * (upstream - upstream.mean(axes) - h * (upstream * h).mean(axes))
    return by_x, (upstream * h).sum(axes), upstream.sum(axes)


@pytest.mark.parametrize("shape", [(6, 3, 4, 5), (40, 5), (6, 3, 4, 16)])
@pytest.mark.parametrize("dtype", _TOLERANCES)
def test_the_gradient_passes_through_statistics_of_others_too(dtype: str, shape: tuple[int, ...]) -> None:
    """Half of the rows are here, and the other half on a replica that gives its sums."""
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(1.0, 2.0, shape), random.normal(-1.0, 1.0, shape)])
    x = np.array(tf.cast(tf.cast(x, dtype), tf.float64))  # rounding of the input is no error
    upstream = np.array(tf.cast(tf.cast(random.normal(size=x.shape), dtype), tf.float64))
    gamma, beta = random.normal(size=(2, shape[-1]))
    axes, rows, here = tuple(range(x.ndim - 1)), x.size // shape[-1], len(x) // 2
    wide = "float64" if dtype == "float64" else "float32"

    def total(sums: tf.Tensor) -> tf.Tensor:
        h = (x[here:] - x.mean(axes)) / np.sqrt(x.var(axes) + _EPSILON)
        return sums + np.stack([(upstream[here:] * h).sum(axes), upstream[here:].sum(axes)])

    with tf.GradientTape() as tape:
        sources = tf.constant(x[:here], dtype), tf.constant(gamma, wide), tf.constant(beta, wide)
        tape.watch(sources)
        statistics = (tf.constant(value, wide) for value in (x.mean(axes), x.var(axes), rows))
        outputs = normalization.normalized_by_shared(*sources, *statistics, epsilon=_EPSILON, total=total)
    assert outputs.dtype == dtype
    found = tape.gradient(outputs, sources, tf.constant(upstream[:here], dtype))
    by_x, by_gamma, _ = _oracle(x, upstream, gamma)
    h = (x - x.mean(axes)) / np.sqrt(x.var(axes) + _EPSILON)
    expected = by_x[:here], (upstream * h)[:here].sum(axes), upstream[:here].sum(axes)
    for gradient, right in zip(found, expected, strict=True):
        tolerance = _TOLERANCES[dtype] * np.abs(right).max()
        np.testing.assert_allclose(tf.cast(gradient, tf.float64), right, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_single_row_has_no_variance(dtype: str) -> None:
    mean, squares, num_rows = normalization.moments(tf.constant([[3.0, -1.0]], dtype))
    np.testing.assert_array_equal(mean, [3.0, -1.0])
    np.testing.assert_array_equal(squares, [0.0, 0.0])
    assert num_rows == 1


def _on_a_gpu(*, synchronized: bool) -> gpu_graph.Counts:
    """Returns the counts of batch norm with ReLU, forward and backward in half precision, after TensorFlow's passes."""
    layer = BatchNormalization(synchronized=synchronized, dtype=keras.DTypePolicy("mixed_float16"))
    layer.build((None, _SIDE, _SIDE, _CHANNELS))

    @tf.function
    def both(x: tf.Tensor, upstream: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = tf.nn.relu(layer(x, training=True))
        return [outputs, *tape.gradient(outputs, [x, layer.gamma.value, layer.beta.value], upstream)]

    with gpu_graph.tracing_for_gpus():
        spec = tf.TensorSpec([_IMAGES, _SIDE, _SIDE, _CHANNELS], tf.float16)
        graph = both.get_concrete_function(spec, spec).graph
    return gpu_graph.counts(graph, gpu_graph.needed(graph), _IMAGES)


def bytes_and_launches() -> list[tuple[float, int]]:
    """Returns bytes for each number of an activation, and launches, with a replica's own statistics and with shared."""
    found = [_on_a_gpu(synchronized=synchronized) for synchronized in (False, True)]
    return [(each.activation_bytes / (_IMAGES * _SIDE**2 * _CHANNELS), each.launches) for each in found]


def test_shared_statistics_move_few_bytes_and_start_few_kernels() -> None:
    """Of 34 bytes four are a ReLU's, which TensorFlow fuses into the normalisation on some processors."""
    (own_bytes, own_launches), (shared_bytes, shared_launches) = bytes_and_launches()
    assert own_bytes == 20 and shared_bytes in (30, 34)
    assert own_launches <= 5 and shared_launches <= 36


@pytest.mark.slow
def test_as_beside_a_gpu_they_move_thirty_bytes() -> None:
    code = "from tests.models.normalization_test import bytes_and_launches; print(bytes_and_launches())"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert [each[0] for each in ast.literal_eval(done.stdout.splitlines()[-1])] == [20, 30]
