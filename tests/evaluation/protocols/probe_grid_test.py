"""The grid of linear classifiers equals PyTorch's classifier for each setting, and keeps its invariants."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from seer_tf.errors import InputError
from seer_tf.evaluation.features.stages import Pooling
from seer_tf.evaluation.protocols.probe_grid import (
    RECIPES,
    Batches,
    ProbeGrid,
    ProbeRecipe,
    probe_recipe,
    shuffled_batches,
)
from seer_tf.evaluation.result import mean_interval

_NUM_CLASSES, _BATCH_SIZE = 4, 16
_POOLINGS = {"res4": Pooling(2, 3, 5), "avgpool": Pooling(1, 1, 7)}
_RECIPE = ProbeRecipe((0.02, 0.5), (0.0, 0.1), 3, (1, 2), augmentation="none", held_out_fraction=0.0, batch_size=16)


def _features(num_images: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns features that depend on the classes. Channels have different scales and offsets."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, _NUM_CLASSES, num_images)
    features = {}
    for stage, pooling in _POOLINGS.items():
        centres = np.random.default_rng(7).normal(0, 1, [_NUM_CLASSES, pooling.dim])
        values = centres[labels] + generator.normal(0, 1, [num_images, pooling.dim])
        features[stage] = (values * np.linspace(0.1, 5, pooling.dim) + 3).astype(np.float32)
    return features, labels


def _of_pytorch(
    stage: str, setting: tuple[float, float], grid: ProbeGrid, batches: Batches, test: np.ndarray
) -> np.ndarray:
    """Trains one `eval_mlp` with PyTorch's layers and optimizer. Returns its logits for the test features."""
    pooling, number = _POOLINGS[stage], _RECIPE.settings.index(setting)
    bn, linear = torch.nn.BatchNorm2d(pooling.channels, eps=1e-5, momentum=0.1), torch.nn.Linear(pooling.dim, 4)
    kernel, bias = (grid._probes[stage]._kernel.numpy()[:, :, number], grid._probes[stage]._bias.numpy()[number])
    with torch.no_grad():  # our kernel is cell by cell, PyTorch's channel by channel
        linear.weight.copy_(torch.tensor(kernel.transpose(1, 0, 2).reshape(pooling.dim, 4).T.copy()))
        linear.bias.copy_(torch.tensor(bias))

    def logits(features: np.ndarray) -> torch.Tensor:
        maps = torch.tensor(features).reshape(-1, pooling.rows, pooling.columns, pooling.channels).permute(0, 3, 1, 2)
        return linear(torch.flatten(bn(maps), start_dim=1))

    rate, decay = setting
    parameters = [{"params": linear.parameters(), "weight_decay": decay}, {"params": bn.parameters()}]
    optimizer = torch.optim.SGD(parameters, lr=1.0, momentum=0.9, nesterov=True)
    for epoch in range(_RECIPE.epochs):
        for group in optimizer.param_groups:
            group["lr"] = rate * _BATCH_SIZE / 256 * 0.1**epoch
        for features, labels in batches(epoch):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(logits(features[stage]), torch.tensor(labels)).backward()
            optimizer.step()
    bn.eval()
    return logits(test).detach().numpy()


def test_every_setting_equals_a_classifier_that_pytorch_trains_alone():
    """The test fails if a setting uses the rate or velocity of another setting, or if batch norm decays.

    The test also fails if moving statistics are biased.
    """
    torch.set_num_threads(1)  # PyTorch's threads wait by spinning
    (features, labels), (test, _) = _features(100, seed=0), _features(30, seed=1)
    batches = shuffled_batches(features, labels, _BATCH_SIZE, seed=5)
    grid = ProbeGrid(_POOLINGS, _NUM_CLASSES, _RECIPE, seed=3)
    expected = {
        stage: np.stack([_of_pytorch(stage, setting, grid, batches, test[stage]) for setting in _RECIPE.settings], 1)
        for stage in _POOLINGS
    }
    grid.fit(batches, len(labels), held_out={}, held_out_labels=np.array([]))
    for stage, logits in expected.items():
        probes = grid._probes[stage]
        found = probes._logits(test[stage], probes._mean, probes._variance)
        np.testing.assert_allclose(found, logits, atol=2e-4)
        assert grid.correct(test, logits[:, 2].argmax(1))[stage][2].all()


def _loss_of_a_device(logits: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
    """Returns the sum of masked sigmoid cross-entropies, averaged over the images for which the class is known.

    The loss is zero for a class without such an image.
    """
    known = torch.tensor(labels != -1).float()
    targets = torch.tensor(labels == 1).float()
    entropies = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known
    return (entropies / known.sum(dim=0).clamp(min=1.0)).sum()


@pytest.mark.parametrize("batch_size", [20, 32])
def test_a_classifier_with_several_labels_equals_pytorchs(batch_size: int) -> None:
    """VISSL averages on each device of 16 images; the other case has one device.

    The test fails if an unknown class counts in the sum or in the mean.
    """
    torch.set_num_threads(1)
    features, _ = _features(64, seed=0)
    labels = np.random.default_rng(3).integers(-1, 2, [64, _NUM_CLASSES]).astype(np.int8)
    labels[:, 1] = np.where(np.arange(64) % 9 == 0, labels[:, 1], -1)  # in most batches nearly unknown
    recipe = ProbeRecipe((0.05,), (0.1,), 3, (1, 2), "crops", 0.0, batch_size=batch_size, has_several_labels=True)
    batches = shuffled_batches(features, labels, batch_size, seed=5)
    grid = ProbeGrid(_POOLINGS, _NUM_CLASSES, recipe, seed=3)
    linears = {}
    for stage, pooling in _POOLINGS.items():
        linear = linears[stage] = torch.nn.Linear(pooling.dim, _NUM_CLASSES)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(grid._probes[stage]._kernel.numpy()[:, :, 0].reshape(pooling.dim, -1).T))
            linear.bias.copy_(torch.tensor(grid._probes[stage]._bias.numpy()[0]))
        optimizer = torch.optim.SGD(linear.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.1)
        for epoch in range(recipe.epochs):
            optimizer.param_groups[0]["lr"] = 0.05 * batch_size / 256 * 0.1**epoch
            for values, of_batch in batches(epoch):
                logits, devices = linear(torch.tensor(values[stage])), 2 if batch_size == 32 else 1
                parts = zip(logits.chunk(devices), np.split(of_batch, devices), strict=True)
                optimizer.zero_grad()
                torch.stack([_loss_of_a_device(*part) for part in parts]).mean().backward()
                optimizer.step()
    grid.fit(batches, len(labels), held_out={}, held_out_labels=np.zeros(0))
    for stage, found in grid.scores(features).items():
        expected = linears[stage](torch.tensor(features[stage])).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_best_setting_is_chosen_on_the_held_out_slice():
    """One stage is noise, and one stage separates the classes. The curve has a point for each epoch."""
    (features, labels), (held_out, held_out_labels) = _features(300, seed=0), _features(100, seed=1)
    for part in (features, held_out):
        part["res4"] = np.random.default_rng(2).normal(size=part["res4"].shape).astype(np.float32)
    grid = ProbeGrid(_POOLINGS, _NUM_CLASSES, _RECIPE, seed=0)
    batches = shuffled_batches(features, labels, _BATCH_SIZE, seed=0)
    grid.fit(batches, len(labels), held_out=held_out, held_out_labels=held_out_labels)
    stage, number = grid.best()
    assert stage == "avgpool" and len(grid.curve) == _RECIPE.epochs
    shares = grid.correct(held_out, held_out_labels)[stage].mean(axis=1)
    np.testing.assert_allclose(grid.curve[-1][stage], shares)
    assert shares[number] == shares.max() > 0.5


def test_each_epoch_has_another_permutation():
    """Images that fill no batch are left out. A set smaller than a batch is one batch."""
    labels = np.arange(10)
    features = {"avgpool": labels[:, None].astype(np.float32)}
    batches = shuffled_batches(features, labels, 4, seed=0)
    first, again, second = ([list(labels) for _, labels in batches(epoch)] for epoch in (0, 0, 1))
    assert first == again != second and [len(batch) for batch in first] == [4, 4]
    assert all((rows["avgpool"][:, 0] == labels).all() for rows, labels in batches(0))
    assert [len(labels) for _, labels in shuffled_batches(features, labels, 64, seed=0)(0)] == [10]


def test_the_recipes_have_vissls_settings():
    """The recipes have one rate, one decay, and the epochs and steps of VISSL's configurations."""
    assert RECIPES["vissl_imagenet"].settings == ((0.01, 5e-4),)
    epochs = {
        name: (recipe.epochs, recipe.drops_after_epochs)
        for name, recipe in RECIPES.items()
        if recipe.augmentation != "none" and not recipe.has_several_labels
    }
    assert epochs == {
        "vissl_imagenet": (28, (8, 16, 24)),
        "vissl_places205": (14, (4, 8, 12)),
        "vissl_inat18": (84, (24, 48, 72)),
        "vissl_transfer": (28, (8, 16, 24)),
        "vissl_transfer_whole": (28, (8, 16, 24)),
        "vissl_clevr_count": (50, ()),
        "vissl_clevr_dist": (100, ()),
    }
    whole = {name for name, recipe in RECIPES.items() if recipe.augmentation == "flips"}
    assert whole == {"vissl_transfer_whole", "vissl_clevr_count", "vissl_clevr_dist"}
    several = RECIPES["vissl_openimages"]
    assert (several.epochs, several.drops_after_epochs, several.batch_size) == (16, (2, 4, 6), 1024)
    ((rate, decay),) = several.settings
    assert (rate * several.batch_size / 256, decay) == (pytest.approx(0.003), 1e-4)
    assert several.has_several_labels and several.augmentation == "crops" and not several.held_out_fraction
    assert len(RECIPES["grid"].settings) == 20
    with pytest.raises(InputError, match="did you mean 'vissl_imagenet'"):
        probe_recipe("vissl_imagnet")


def test_the_learning_rate_falls_in_steps_or_by_a_cosine():
    """VISSL has a multistep schedule, and a cosine from 0.01 to 0.0001 that changes once in an epoch."""
    steps = [RECIPES["vissl_imagenet"].rate_factor(epoch) for epoch in (0, 7, 8, 16, 27)]
    np.testing.assert_allclose(steps, [1, 1, 0.1, 0.01, 0.001])
    recipe = RECIPES["vissl_clevr_count"]
    cosine = [0.01 * recipe.rate_factor(epoch) for epoch in range(50)]
    expected = 1e-4 + (0.01 - 1e-4) * (1 + np.cos(np.pi * np.arange(50) / 50)) / 2
    np.testing.assert_allclose(cosine, expected)


def test_gaussians_give_their_bayes_accuracy_within_the_interval():
    """The two classes are at distance 2, so the best accuracy is Phi(1) = 84.1 %."""
    generator = np.random.default_rng(11)
    labels = generator.integers(0, 2, 12_000)
    features = generator.normal(size=[12_000, 6]).astype(np.float32)
    features[:, 2] += 2.0 * labels
    right = _probe_of(features[:8000], labels[:8000], features[8000:], labels[8000:])
    low, high = mean_interval(right, seed=0)
    assert low < norm.cdf(1.0) < high and high - low < 0.03


def test_shuffled_labels_give_chance():
    """The features depend on the classes, but the labels do not depend on the features."""
    features, labels = _features(1500, seed=0)
    shuffled = np.random.default_rng(1).permutation(labels)
    right = _probe_of(features["avgpool"][:1000], shuffled[:1000], features["avgpool"][1000:], shuffled[1000:])
    low, high = mean_interval(right, seed=0)
    assert low < 1 / _NUM_CLASSES < high


def _probe_of(train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray) -> np.ndarray:
    """Fits one setting of the grid on one stage. Returns which test images are right."""
    poolings = {"avgpool": Pooling(1, 1, train.shape[1])}
    recipe = ProbeRecipe((0.1,), (5e-4,), 8, (3, 5, 7), augmentation="none", held_out_fraction=0.0)
    grid = ProbeGrid(poolings, int(train_labels.max()) + 1, recipe, seed=0)
    batches = shuffled_batches({"avgpool": train}, train_labels, 256, seed=0)
    grid.fit(batches, len(train), held_out={}, held_out_labels=np.array([]))
    return grid.correct({"avgpool": test}, test_labels)["avgpool"][0]
