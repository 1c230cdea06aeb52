"""Several steps in one call: the call is traced once, and compiled if the config says so."""

import types
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining.task import check_fit
from seer_tf.training.loop import steps_function
from tests.small_networks import random_crops, small_config, small_model

NUM_IMAGES = 8


def batches_of(config: Any) -> tf.data.Dataset:
    batches = [random_crops(config, NUM_IMAGES, seed) for seed in range(4)]
    return tf.data.Dataset.from_tensor_slices(tuple(map(np.stack, zip(*batches, strict=True)))).repeat()


def test_any_number_of_steps_is_traced_once() -> None:
    config = small_config()
    state = TrainState(config, model=small_model(config))
    advance, batches = steps_function(state, tf.distribute.get_strategy(), train_step), iter(batches_of(config))
    batch = next(batches)
    for count in (0, 3, 1, 5):
        metrics, batch = advance(batch, batches, tf.constant(count))
        assert metrics["loss"].shape == (count,)
    assert advance.experimental_get_tracing_count() == 1
    assert int(state.step) == int(state.optimizer.iterations) == 9


def test_the_next_batch_is_copied_to_the_gpu_while_the_step_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [types.SimpleNamespace(name="/device:CPU:1")])
    config = small_config()
    state = TrainState(config, model=small_model(config))
    batches = iter(tf.data.Dataset.from_tensors((tf.ones([2]),)).repeat())
    advance = steps_function(state, tf.distribute.get_strategy(), lambda _, batch: {"loss": tf.reduce_sum(batch[0])})
    graph = advance.get_concrete_function(next(batches), batches, tf.constant(1)).graph
    (body,) = (each for each in graph.as_graph_def().library.function if "body" in each.signature.name)
    copies = [node for node in body.node_def if node.op == "Identity" and node.device.endswith("CPU:1")]
    assert [node.input[0].partition(":")[0].rpartition("/")[2] for node in copies] == ["IteratorGetNext"]


@pytest.mark.slow
def test_compiled_steps_give_the_same_result() -> None:
    found = []
    for setting in ("run.xla=false", "run.xla=true"):
        config = small_config(setting)
        state = TrainState(config, model=small_model(config, batch_norm=True))
        advance, batches = steps_function(state, tf.distribute.get_strategy(), train_step), iter(batches_of(config))
        metrics, _ = advance(next(batches), batches, tf.constant(3))
        found.append([metrics["loss"].numpy(), state.model.head.prototypes.numpy()])
        graph = advance.get_concrete_function(next(batches), batches, tf.constant(3)).graph.as_graph_def()
        compiled = [each.signature.name for each in graph.library.function if each.attr["_XlaMustCompile"].b]
        assert any("train_step" in name for name in compiled) == config.run.xla  # Sinkhorn alone is always compiled
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "run.xla=true",
            "`run.xla` compiles the step of one device, but there are 2 replicas, and compiled sums over replicas",
        ),
        ("run.accumulation_steps=8", "run.accumulation_steps=8 does not divide the batch of each replica, 4 images"),
    ],
)
def test_settings_that_fail_on_several_replicas_are_refused(setting: str, sentence: str) -> None:
    config = small_config(f"data.global_batch_size={NUM_IMAGES}", setting)
    source = open_source("builtin")
    check_fit(config, source, 1)
    with pytest.raises(InputError, match=sentence):
        check_fit(config, source, 2)
