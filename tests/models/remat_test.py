"""Activation checkpointing changes memory and time, but no number."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import models
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.models.layers import Conv2D
from seer_tf.models.remat import Recomputed
from tests.replicas import two_replicas

TINY = RegNetDesign(depth=2, w_0=8, w_a=0.0, w_m=2.0, group_width=8)  # one stage with two blocks
NUM_NORMS = 1 + 4 + 3
TOLERANCES = {"float64": 1e-10, "mixed_bfloat16": 1e-2, "mixed_float16": 1e-3}


def _network(kind: str, dtype: str = "float32", **kwargs: Any) -> models.RegNetY:
    """Returns a network with random values in every variable."""
    network = models.RegNetY(design=TINY, activation_checkpointing=kind, dtype=dtype, **kwargs)
    random = np.random.default_rng(1)
    for variable in network.variables:
        around = 1.0 if variable.path.endswith(("gamma", "moving_variance")) else 0.0
        variable.assign(around + random.uniform(-0.4, 0.4, size=variable.shape))
    return network


@dataclasses.dataclass(frozen=True)
class Step:
    """The results of a traced step.

    Attributes:
        values: Loss, gradients and moving statistics by name, [replicas, ...] each.
        num_convolutions: Number of convolutions in the step, without 1 x 1 convolutions of stride 1, which are matrix
            products.
        reductions: Shape of each value that a replica reduced.
    """

    values: dict[str, np.ndarray]
    num_convolutions: int
    reductions: list[tuple[int, ...]]


@functools.cache
def _step(kind: str, dtype: str, sides: tuple[int, ...], num_replicas: int) -> Step:
    strategy = two_replicas() if num_replicas == 2 else tf.distribute.get_strategy()
    with strategy.scope():
        network = _network(kind, dtype, synchronized=num_replicas == 2)
    random = np.random.default_rng(2)
    crops = [tf.constant(random.normal(size=(2, 4, side, side, 3)), network.input.dtype) for side in sides]

    def step() -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            own = (tf.gather(group, collectives.replica_id()) for group in crops)
            pooled = [tf.reduce_mean(network(images, training=True), [1, 2]) for images in own]
            loss = tf.reduce_mean(tf.square(tf.cast(tf.concat(pooled, 0), network.variable_dtype)))
        gradients = tape.gradient(loss, network.trainable_variables)
        by_path = {v.path: gradient for v, gradient in zip(network.trainable_variables, gradients, strict=True)}
        return {"loss": loss, **by_path}

    reductions = []
    all_reduce = tf.distribute.ReplicaContext.all_reduce

    def counted(context: tf.distribute.ReplicaContext, op: Any, value: tf.Tensor, options: Any = None) -> tf.Tensor:
        reductions.append(tuple(value.shape))
        return all_reduce(context, op, value, options)

    traced = tf.function(lambda: strategy.run(step))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.distribute.ReplicaContext, "all_reduce", counted)
        found = traced() | {variable.path: variable.value for variable in network.non_trainable_variables}
    num_convolutions = sum(op.type == "Conv2D" for op in _needed(traced.get_concrete_function().graph))
    values = {name: np.stack(strategy.experimental_local_results(value)) for name, value in found.items()}
    return Step(values, num_convolutions, reductions)


def _needed(graph: Any) -> set[tf.Operation]:
    """Returns the operations on which the results and assignments of a graph depend. TensorFlow runs only these."""
    found: set[tf.Operation] = set()
    waiting = [output.op for output in graph.outputs] + list(graph.control_outputs)
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [*(each.op for each in op.inputs), *op.control_inputs]
    return found


KINDS = ("convolution", "block", "stage")
CASES: list[tuple[str, str, tuple[int, ...], int]]
CASES = [(kind, dtype, (32, 16), 1) for dtype in TOLERANCES for kind in KINDS]
CASES += [(kind, "float64", (32,), 2) for kind in KINDS]
CASES += [(kind, "mixed_float16", (32,), 2) for kind in ("convolution", "block")]


@pytest.mark.multi_replica
@pytest.mark.parametrize(("kind", "dtype", "sides", "num_replicas"), CASES)
def test_every_number_equals_a_step_without_checkpointing(
    kind: str, dtype: str, sides: tuple[int, ...], num_replicas: int
) -> None:
    expected, actual = (_step(each, dtype, sides, num_replicas) for each in ("none", kind))
    if kind == "convolution":
        assert actual.num_convolutions == expected.num_convolutions
    else:
        assert actual.num_convolutions > expected.num_convolutions
    assert actual.values.keys() == expected.values.keys()
    for name, value in expected.values.items():
        assert np.linalg.norm(value) > 0, name
        error = np.linalg.norm((actual.values[name] - value).astype(np.float64))
        assert error <= TOLERANCES[dtype] * np.linalg.norm(value.astype(np.float64)), name


@pytest.mark.multi_replica
@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_statistics_are_reduced_once_and_their_gradients_once(kind: str) -> None:
    reductions = _step(kind, "float64", (32,), 2).reductions
    assert len(reductions) == 2 * 2 * NUM_NORMS  # two replicas, forward and backward
    of_stem = [reductions.count(shape) for shape in ((1, 2 * 32 + 1), (1, 2, 32))]
    assert of_stem == [2, 2]  # forward and backward


def test_checkpointing_works_in_eager_mode() -> None:
    results = []
    for kind in ("none", "convolution", "stage"):
        network = _network(kind)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(tf.ones([2, 16, 16, 3]), training=True))
        results.append(tape.gradient(loss, network.trainable_variables) + network.non_trainable_variables)
    plain, *others = results
    for other in others:
        for ours, theirs in zip(other, plain, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_variables_keep_their_paths_and_weights_fit(kind: str) -> None:
    plain, checkpointed = _network("none"), models.RegNetY(design=TINY, activation_checkpointing=kind)
    assert [variable.path for variable in checkpointed.variables] == [variable.path for variable in plain.variables]
    num_parts = {"convolution": 0, "block": 2, "stage": 1}[kind]
    assert sum(isinstance(layer, Recomputed) for layer in checkpointed.layers) == num_parts
    checkpointed.set_weights(plain.get_weights())
    image = tf.random.stateless_normal([2, 32, 48, 3], seed=(0, 0))
    np.testing.assert_array_equal(checkpointed(image), plain(image))
    assert set(checkpointed.pyramid_outputs) == set(plain.pyramid_outputs)


def test_inference_recomputes_nothing() -> None:
    graphs = [
        tf.function(_network(kind)).get_concrete_function(tf.TensorSpec([1, 32, 32, 3])).graph
        for kind in ("none", "convolution", "block")
    ]
    plain, *checkpointed = ([op.type for op in graph.get_operations()] for graph in graphs)
    assert checkpointed == [plain, plain]


# NumPy 2 deprecates the way in which Keras 3.15 converts a variable to an array.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_network_of_recomputed_layers_is_saved_and_loaded(tmp_path: Path) -> None:
    network = models.pooled(_network("stage"))  # a functional model, in which the config of each layer is saved
    network.save(tmp_path / "pooled.keras")
    loaded = keras.saving.load_model(tmp_path / "pooled.keras")
    assert [variable.path for variable in loaded.variables] == [variable.path for variable in network.variables]
    image = tf.random.stateless_normal([2, 32, 32, 3], seed=(0, 0))
    np.testing.assert_array_equal(loaded(image), network(image))
    assert any(isinstance(layer, Conv2D) for layer in loaded._flatten_layers())


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'block'"):
        models.RegNetY(design=TINY, activation_checkpointing="blocks")
