"""The peer in PyTorch computes the same as our code, so the head-to-head compares libraries and not algorithms."""

import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from benchmarks.peers import torch_weights
from benchmarks.peers.torch_swav import TorchTraining, learning_rates
from benchmarks.suite import head_to_head_report
from benchmarks.suite.crop_files import CropFiles
from benchmarks.suite.head_to_head import head_to_head
from benchmarks.suite.labelled_bank import LabelledBank
from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.evaluation.features.extract import image_features
from seer_tf.methods.swav.gradients import at_once
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.models.backbones.regnet import design
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import batches_from
from seer_tf.reports.reference_band import read_references
from seer_tf.training.moving_statistics import MovingStatistics
from tests.small_networks import random_crops, small_config, stages_design


@pytest.fixture(autouse=True)
def tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with two stages, for both libraries."""
    monkeypatch.setitem(design.VARIANTS, "tiny", stages_design(2))


def _config(*assignments: str) -> Config:
    return small_config("backbone.variant=tiny", "head.batch_norm=true", "swav.freeze_prototypes_steps=1", *assignments)


@pytest.mark.slow
def test_both_programs_make_the_same_steps() -> None:
    config = _config("run.precision=float64", "swav.epsilon=0.02", "schedule.warmup_start_learning_rate=0.3")
    state, peer = TrainState(config), TorchTraining(config, compiled=False)
    torch_weights.to_torch(state.model, peer.model)
    pairs = torch_weights.pairs(state.model, peer.model)
    trained = [tensor for variable, tensor in pairs if variable.trainable]
    rates = learning_rates(config).astype(np.float32).tolist()  # in float32, as our schedule
    for step in range(2):
        batch = random_crops(config, 8, seed=step)
        crops = tuple(map(tf.constant, batch))
        gradients = _gradients(state, crops)
        loss = float(train_step(state, crops)["loss"])
        peers = peer.step([torch.from_numpy(group) for group in batch], rates[step], freeze_prototypes=step < 1)
        assert loss == pytest.approx(peers, abs=1e-9)
        assert [tensor.grad is None for tensor in trained] == [False] * (len(trained) - 1) + [step < 1]
        for variable, tensor in pairs:
            theirs = torch_weights.as_ours(variable, tensor)
            if variable is state.model.head.prototypes:  # the released script normalises the prototypes before a step
                theirs = theirs / np.linalg.norm(theirs, axis=1, keepdims=True)
            np.testing.assert_allclose(variable.numpy(), theirs, atol=1e-9, err_msg=variable.path)
            if tensor.grad is not None:
                theirs = torch_weights.as_ours(variable, tensor.grad)
                np.testing.assert_allclose(gradients[variable.path], theirs, atol=1e-10, err_msg=variable.path)


def _gradients(state: TrainState, crops: tuple[tf.Tensor, ...]) -> dict[str, np.ndarray]:
    statistics = MovingStatistics(state.model)
    gradients = at_once(state, crops, statistics).scaled
    statistics.restore()
    return {
        variable.path: gradient.numpy()
        for variable, gradient in zip(state.model.trainable_variables, gradients, strict=True)
    }


def test_features_of_the_peer_equal_our_network_with_the_same_weights() -> None:
    config = _config()
    peer, ours = TorchTraining(config, compiled=False), TrainState(config).model
    [large, small] = random_crops(config, 8)
    # The moving statistics are no longer the initial ones.
    peer.step([torch.from_numpy(large), torch.from_numpy(small)], 1.0)
    torch_weights.from_torch(peer.model, ours)
    with torch.no_grad():
        network, images = peer.model.eval(), torch.from_numpy(large[:, 0]).permute(0, 3, 1, 2)
        theirs = network.backbone((images / 255 - network.mean) / network.std).pooler_output.flatten(1).numpy()
    np.testing.assert_allclose(image_features(ours)(tf.constant(large[:, 0])).numpy(), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["demo", "cifar10_small"])
def test_both_programs_have_the_same_schedule(name: str) -> None:
    config = configs.override(recipe(name), ["data.global_batch_size=32"])
    ours = learning_rate_schedule(config.schedule, config.run.num_steps, config.data.global_batch_size)
    steps = np.arange(config.run.num_steps)
    np.testing.assert_allclose(ours(tf.constant(steps)).numpy(), learning_rates(config), rtol=1e-6)


def _results(factor: float) -> list[dict[str, Any]]:
    """Returns three seeds of 200 steps. The peer's losses are ours times a factor, and its k-NN is one point higher."""
    losses = 4 - np.arange(200) / 100
    return [
        {
            "seed": seed,
            "ours": _found(losses + seed / 50, 0.40 + seed / 100),
            "peer": _found(factor * (losses + seed / 50), 0.41 + seed / 100),
        }
        for seed in range(3)
    ]


def _found(losses: np.ndarray, top1: float) -> dict[str, Any]:
    return {
        "losses": losses.tolist(),
        "seconds": [60.0, 120.0],
        "examinations": [[0, 0.0, 0.2], [100, 60.0, 0.3], [200, 120.0, top1]],
    }


def test_the_report_calls_only_equal_results_equal(tmp_path: pathlib.Path) -> None:
    config, equal = _config(), head_to_head_report.tables(_results(1.0), _config())
    assert "The first losses are equal to 1e-05" in equal and equal.count("4 of 4: inside") == 6
    assert "| 200 | 41.0 ± 1.0 | 42.0 ± 1.0 | -1.0 | 0.8 | equal |" in equal
    assert "| 2.0 | 41.0 ± 1.0 | 42.0 ± 1.0 |" in equal  # minutes
    other = head_to_head_report.tables(_results(1.2), config)
    assert "The first losses are NOT equal" in other and other.count("0 of 4: OUTSIDE") == 3
    head_to_head_report.draw(_results(1.0), config, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_losses_of_the_peer_become_reference_runs(tmp_path: pathlib.Path) -> None:
    results, config = _results(1.0), _config()
    head_to_head_report.write_references(results, config, tmp_path / "peer")
    references = read_references(tmp_path, "peer")
    assert len(references) == 3
    expected = np.mean(results[2]["peer"]["losses"][50:100]) / np.log(config.head.num_prototypes)
    assert references[2]["loss/relative_to_ln_K"][100] == pytest.approx(expected)


@pytest.mark.slow
def test_both_contestants_start_with_the_same_weights(tmp_path: pathlib.Path) -> None:
    config = _config("crops.sizes_px=32,16", "run.num_steps=6", "run.log_every_steps=2", "run.examine_every_steps=3")
    some = Selection(open_source("builtin"), np.arange(0, 1000, 20))
    files = CropFiles.of(config, some, tmp_path)
    expected = batches_from(0, config, some, tf.distribute.get_strategy()).take(6)
    for number, (batch, read) in enumerate(zip(expected, files.batches(), strict=False)):
        for group, again, mapped in zip(batch, read, files.arrays(), strict=True):
            np.testing.assert_array_equal(group, again)
            np.testing.assert_array_equal(group, mapped[number])

    others = Selection(open_source("builtin:test"), np.arange(200))
    found = head_to_head(config, files, LabelledBank(some, others, 32))
    ours, peer = found["ours"], found["peer"]
    assert len(ours["losses"]) == len(peer["losses"]) == 6
    assert abs(ours["losses"][0] - peer["losses"][0]) < 1e-5
    np.testing.assert_allclose(ours["losses"], peer["losses"], atol=1e-3)
    assert [step for step, _, _ in peer["examinations"]] == [0, 3, 6]
    assert ours["examinations"][0] == peer["examinations"][0]  # both have the same weights before the first step
    assert 0 < ours["seconds"][0] < ours["seconds"][-1] == ours["examinations"][-1][1]
