from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import models
from seer_tf.distributed import collectives
from seer_tf.models.embeddings import unit_norm
from tests.replicas import two_replicas


def _head(hidden_dims: tuple[int, ...] = (6, 5), **kwargs: Any) -> models.SwavHead:
    head = models.SwavHead(hidden_dims, embedding_dim=4, num_prototypes=7, **kwargs)
    head.build((None, 8))
    return head


def _features(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(9, 8))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_head_equals_its_definition(batch_norm: bool) -> None:
    head = _head(batch_norm=batch_norm, dtype="float64")
    random = np.random.default_rng(1)
    for variable in head.variables:
        variable.assign(random.uniform(0.2, 1.0, size=variable.shape) * random.choice([-1, 1], size=variable.shape))
    x = _features()
    for index, linear in enumerate(head.linears):
        x = x @ linear.kernel.numpy() + linear.bias.numpy()
        if index < 2:
            if batch_norm:
                norm = head.norms[index]
                x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * norm.gamma.numpy() + norm.beta.numpy()
            x = np.maximum(x, 0)
    embeddings, scores = head(_features(), training=True)
    expected = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(embeddings, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(scores, expected @ head.prototypes.numpy().T, rtol=1e-10, atol=1e-12)
    assert len(head.norms) == (2 if batch_norm else 0)


@pytest.mark.parametrize("hidden_dims", [(), (6,), (6, 5)])
def test_the_head_may_have_any_number_of_hidden_layers(hidden_dims: tuple[int, ...]) -> None:
    head = _head(hidden_dims=hidden_dims)
    embeddings, scores = head(_features())
    assert (embeddings.shape, scores.shape) == ((9, 4), (9, 7))
    assert head.compute_output_shape((9, 8)) == ((9, 4), (9, 7))
    assert len(head.linears) == len(hidden_dims) + 1


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float64"])
def test_embeddings_and_scores_are_of_high_precision_under_every_policy(policy: str) -> None:
    head = _head(dtype=policy)
    embeddings, scores = head(_features(), training=True)
    expected = "float64" if policy == "float64" else "float32"
    assert embeddings.dtype == scores.dtype == head.prototypes.dtype == expected
    assert all(linear.compute_dtype == head.compute_dtype for linear in head.linears)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(scores, embeddings @ tf.transpose(head.prototypes.value), atol=1e-6)


def test_linear_layers_are_initialised_as_in_pytorch_and_prototypes_have_unit_norm() -> None:
    keras.utils.set_random_seed(0)
    head = models.SwavHead((400,), 50, 300)
    head.build((None, 100))
    for linear, fan_in in zip(head.linears, (100, 400), strict=True):
        for variable in (linear.kernel, linear.bias):
            limit = fan_in**-0.5
            assert np.abs(variable).max() <= limit
            assert np.abs(variable).max() > 0.9 * limit
            assert np.std(variable) == pytest.approx(limit / 3**0.5, rel=0.2)
    np.testing.assert_allclose(np.linalg.norm(head.prototypes, axis=1), 1.0, rtol=1e-6)
    assert np.abs(np.mean(head.prototypes)) < 0.01


def test_unit_norm_keeps_directions_and_zeros() -> None:
    rows = np.random.default_rng(2).normal(size=(4, 3))
    rows[1] = 0
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(unit_norm(tf.constant(rows)), rows / lengths, rtol=1e-12)


@pytest.mark.multi_replica
def test_replicas_share_the_statistics() -> None:
    strategy = two_replicas()
    with strategy.scope():
        head = _head(synchronized=True, dtype="float64")
    whole = _head(dtype="float64")
    for own, other in zip(whole.variables, head.variables, strict=True):
        own.assign(other)
    features = np.stack([_features(3), _features(4)])
    _, theirs = whole(np.concatenate(features), training=True)

    @tf.function
    def step() -> tf.Tensor:
        return head(tf.gather(tf.constant(features), collectives.replica_id()), training=True)[1]

    ours = np.concatenate(strategy.experimental_local_results(strategy.run(step)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_checkpoint_has_every_variable_and_paths_are_unique(tmp_path: Path) -> None:
    head = _head()
    paths = [variable.path for variable in head.variables]
    assert len(set(paths)) == len(paths) == 3 * 2 + 2 * 4 + 1
    assert {"head/linear1/kernel", "head/bn2/moving_variance", "head/linear3/bias", "head/prototypes"} <= set(paths)
    saved = tf.train.list_variables(tf.train.Checkpoint(head=head).write(str(tmp_path / "head")))
    assert sum("VARIABLE_VALUE" in name for name, _ in saved) == len(paths)


def test_config_round_trip() -> None:
    head = models.SwavHead((6, 5), 4, 7, batch_norm=False, synchronized=True, name="mine", dtype="mixed_bfloat16")
    assert models.SwavHead.from_config(head.get_config()).get_config() == head.get_config()
