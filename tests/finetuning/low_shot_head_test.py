"""The classifier with the head's first layer equals PyTorch's Linear, BatchNorm1d, ReLU, Linear."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from seer_tf import config as configs
from seer_tf.finetuning.recipes import recipe
from seer_tf.finetuning.state import ClassifierState, build_classifier
from seer_tf.finetuning.step import cross_entropy, smoothed
from seer_tf.models import RegNetY, SwavHead
from seer_tf.optimizers.sgd import SGD
from tests.small_networks import stages_design

_NAMES, _HIDDEN, _STEPS = ("a", "b", "c", "d"), 12, 6
_SETTINGS = (
    "run.precision=float64",
    f"run.num_steps={_STEPS}",
    "optimizer.weight_decay=0.05",
    "schedule.peak_learning_rate=0.5",
    "schedule.num_epochs=60",  # the rate falls halfway
    "schedule.reference_batch_size=256",
    "data.global_batch_size=256",
)


@pytest.fixture
def state() -> ClassifierState:
    """The state of `low_shot_imagenet_10` with a small network and a head from pretraining."""
    keras.utils.set_random_seed(0)
    head = SwavHead((_HIDDEN, 9), 4, 5)
    head.build((None, 32))
    config = configs.override(recipe("low_shot_imagenet_10"), _SETTINGS)
    network = RegNetY(design=stages_design(2), stem_width=8, stem_stride=1)
    return ClassifierState(config, build_classifier(config, network, head, _NAMES))


def _of_pytorch(classifier: keras.Model) -> torch.nn.Sequential:
    """Returns PyTorch's layers with the weights of the classifier."""
    first, _, _, last = classifier.layers
    layers = torch.nn.Sequential(
        torch.nn.Linear(32, _HIDDEN),
        torch.nn.BatchNorm1d(_HIDDEN, eps=1e-5, momentum=0.1),
        torch.nn.ReLU(),
        torch.nn.Linear(_HIDDEN, len(_NAMES)),
    ).double()
    with torch.no_grad():
        for ours, theirs in ((first, layers[0]), (last, layers[3])):
            theirs.weight.copy_(torch.tensor(ours.kernel.numpy().T.copy()))
            theirs.bias.copy_(torch.tensor(ours.bias.numpy()))
    return layers


def _optimizer_of_pytorch(layers: torch.nn.Sequential) -> torch.optim.SGD:
    """Returns VISSL's optimizer: `regularize_bn: False`, `regularize_bias: True`, Nesterov momentum."""
    groups = [
        {"params": [*layers[0].parameters(), *layers[3].parameters()], "weight_decay": 0.05},
        {"params": layers[1].parameters(), "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=0.5, momentum=0.9, nesterov=True)


def test_steps_equal_pytorchs(state: ClassifierState) -> None:
    """The test fails if batch norm decays, if biases do not decay, or if moving statistics differ."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    features = generator.normal(1.0, 2.0, size=(_STEPS, 10, 32))
    labels = generator.integers(0, len(_NAMES), (_STEPS, 10))
    classifier = state.model.classifier
    theirs = _of_pytorch(classifier)
    their_optimizer = _optimizer_of_pytorch(theirs)

    weights = classifier.trainable_variables
    paths = [weight.path for weight in state.model.trainable_variables]
    numbers = [paths.index(weight.path) for weight in weights]
    optimizer = SGD(
        state.optimizer._schedule,
        weights,
        momentum=state.config.optimizer.momentum,
        nesterov=state.config.optimizer.nesterov,
        factors=[state.optimizer._factors[number] for number in numbers],
        decays=[state.optimizer._decays[number] for number in numbers],
    )
    for step in range(_STEPS):
        with tf.GradientTape() as tape:
            logits = classifier(features[step], training=True)
            loss = cross_entropy(logits, smoothed(tf.constant(labels[step]), len(_NAMES), 0.0, tf.float64))
        optimizer.apply_reduced(tape.gradient(loss, weights), finite=tf.constant(True))

        for group in their_optimizer.param_groups:
            group["lr"] = 0.5 if step < _STEPS // 2 else 0.05
        their_optimizer.zero_grad()
        their_loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(features[step])), torch.tensor(labels[step]))
        their_loss.backward()
        their_optimizer.step()
        np.testing.assert_allclose(loss, their_loss.item(), rtol=1e-5)

    first, norm, _, last = classifier.layers
    for ours, of_pytorch in (
        (first.kernel, theirs[0].weight.T),
        (first.bias, theirs[0].bias),
        (norm.gamma, theirs[1].weight),
        (norm.beta, theirs[1].bias),
        (norm.moving_mean, theirs[1].running_mean),
        (norm.moving_variance, theirs[1].running_var),
        (last.kernel, theirs[3].weight.T),
        (last.bias, theirs[3].bias),
    ):
        np.testing.assert_allclose(ours.numpy(), of_pytorch.detach().numpy(), rtol=1e-5, atol=1e-7)
    theirs.eval()
    expected = theirs(torch.tensor(features[0])).detach().numpy()
    np.testing.assert_allclose(classifier(features[0], training=False), expected, rtol=1e-5, atol=1e-7)
