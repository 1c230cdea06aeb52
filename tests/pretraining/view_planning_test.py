"""The planner for methods that compare two views, against the networks and the sums of a step."""

from typing import Any

import keras
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.pretraining import planning
from seer_tf.pretraining.registry import find_method, recipe
from tests.replicas import two_replicas
from tests.small_networks import random_crops, shared_out

RECIPES = {"simclr": "simclr_cifar10", "moco": "moco_v2_cifar10", "byol": "byol_cifar10"}
_SMALL = ("crops.sizes_px=8", "data.global_batch_size=8", "head.embedding_dim=6")


def _config(method: str, *assignments: str) -> PretrainingConfig:
    return configs.validate(configs.override(recipe(RECIPES[method]), [*_SMALL, *assignments]))


@pytest.mark.parametrize("assignment", ["head.final_batch_norm=true", "head.batch_norm=false"])
@pytest.mark.parametrize("method", RECIPES)
def test_weights_are_those_of_the_network(method: str, assignment: str) -> None:
    config = _config(method, assignment)
    model = find_method(method).model(config)
    assert isinstance(model, keras.Model)
    assert planning.weight_sizes(config) == [weight.shape.num_elements() for weight in model.trainable_variables]
    plan = planning.plan(config, 1)
    assert plan.parameters == sum(planning.weight_sizes(config)) and plan.prototype_parameters == 0


def test_a_momentum_encoder_takes_memory_and_a_forward_pass() -> None:
    simclr, moco, byol = (planning.plan(_config(method, "head.hidden_dims=512"), 1) for method in RECIPES)
    assert simclr.memory.momentum_encoder == simclr.memory.queue == 0
    backbone, head = byol.backbone_parameters, 256 * 512 + 512 + 512 * 6 + 6 + 2 * 512
    assert byol.memory.momentum_encoder == 4 * (backbone + head)
    assert byol.memory.velocity == 4 * byol.parameters > byol.memory.momentum_encoder
    assert moco.memory.momentum_encoder == moco.memory.velocity
    assert moco.memory.queue == 2 * 4096 * 6 * 4
    # SimCLR trains both views, which is three passes each; MoCo trains one and follows with one; BYOL does both twice.
    assert moco.step_flops == pytest.approx(simclr.step_flops * 4 / 6, rel=0.01)
    assert byol.step_flops == pytest.approx(simclr.step_flops * 8 / 6, rel=0.05)
    assert moco.memory.activations == pytest.approx(simclr.memory.activations / 2)


def test_micro_batches_are_no_remedy() -> None:
    config = _config("byol")
    needed = planning.plan(config, 1).memory.total
    found = planning.fitting(config, 1, needed // 3)
    assert found is None or "run.accumulation_steps" not in found[0]


@pytest.mark.slow
@pytest.mark.multi_replica
@pytest.mark.parametrize("method", RECIPES)
def test_reductions_are_those_of_a_step(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, strategy = _config(method), two_replicas()
    sums: list[int] = []

    def counted(name: str, factor: int) -> None:
        original = getattr(tf.distribute.ReplicaContext, name)

        def noted(context: Any, *args: Any, **kwargs: Any) -> tf.Tensor:
            value = args[-1] if name == "all_reduce" else args[0]
            sums.append(factor * value.shape.num_elements() * value.dtype.size)
            return original(context, *args, **kwargs)

        monkeypatch.setattr(tf.distribute.ReplicaContext, name, noted)

    with strategy.scope():
        state = find_method(method).state(config)
    crops = shared_out(random_crops(config, config.data.global_batch_size), strategy)
    step = tf.function(lambda crops: strategy.run(find_method(method).step, args=(state, crops)), autograph=False)
    counted("all_reduce", 1)
    counted("all_gather", 2)
    step.get_concrete_function(crops)
    plan = planning.plan(config, num_devices=2)
    planned = (plan.batch_norm, plan.embeddings, plan.gradients)
    # Both replicas were traced. Beside what is planned, one sum is of the loss, and one of what is logged.
    assert len(sums) == 2 * (sum(each.number for each in planned) + 2)
    others = sum(sums) / 2 - sum(each.num_bytes for each in planned)
    assert 0 < others < 1000
