"""Whitened statistics of all stages: an oracle in NumPy, and what whitening must not depend on."""

import pathlib

import keras
import numpy as np
import pytest

from seer_tf.models import all_stages
from seer_tf.models.all_stages import AllStages

_WIDTHS = (2, 3)
_NUM_STATISTICS = 3 * sum(_WIDTHS)


def _maps(num_images: int = 40, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.gamma(1.0, size=[num_images, 5 - stage, 4, width]) for stage, width in enumerate(_WIDTHS)]


def _rows(seed: int = 0) -> np.ndarray:
    return all_stages.statistics(_maps(seed=seed)).numpy()


def test_statistics_are_mean_deviation_and_maximum_of_each_channel() -> None:
    expected = [value for each in _maps() for value in (each.mean((1, 2)), each.std((1, 2)), each.max((1, 2)))]
    np.testing.assert_allclose(_rows(), np.concatenate(expected, axis=1), rtol=1e-5)


def test_statistics_of_half_precision_are_float32() -> None:
    found = all_stages.statistics([each.astype(np.float16) for each in _maps()])
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, _rows(), rtol=2e-3)


def test_features_equal_a_whitening_by_the_covariance() -> None:
    """Distances are compared, because they do not depend on the signs of the axes."""
    fit, rows = _rows(), _rows(seed=1)
    groups = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5])
    scale = fit.std(axis=0) * np.sqrt(np.bincount(groups))[groups]
    standard = (fit - fit.mean(axis=0)) / scale
    covariance = standard.T @ standard / len(fit)
    raised = covariance + np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    difference = (rows[:1] - rows) / scale
    expected = np.einsum("ns,st,nt->n", difference, np.linalg.inv(raised), difference)
    found = all_stages.fitted(fit, _WIDTHS).of_statistics(rows).numpy()
    np.testing.assert_allclose(np.square(found[:1] - found).sum(axis=1), expected, rtol=2e-3)


def test_units_of_a_channel_do_not_matter() -> None:
    fit, rows = _rows(), _rows(seed=1)
    factors, offsets = np.random.default_rng(2).uniform(0.1, 10.0, [2, _NUM_STATISTICS]).astype(np.float32)
    of_others = all_stages.fitted(fit * factors + offsets, _WIDTHS).of_statistics(rows * factors + offsets)
    np.testing.assert_allclose(of_others, all_stages.fitted(fit, _WIDTHS).of_statistics(rows), atol=2e-3)


def test_a_channel_that_was_dead_stays_small() -> None:
    fit, rows = _rows(), _rows(seed=1)
    fit[:, 4] = 0.5
    rows[:, 4] = 3.0
    found = all_stages.fitted(fit, _WIDTHS).of_statistics(rows).numpy()
    rows[:, 4] = 0.5
    np.testing.assert_allclose(found, all_stages.fitted(fit, _WIDTHS).of_statistics(rows), atol=1e-3)


def test_there_are_at_most_256_components_and_fewer_than_images() -> None:
    random = np.random.default_rng(0)
    assert all_stages.fitted(random.normal(size=[400, 600]), (100, 100)).num_components == 256
    assert all_stages.fitted(random.normal(size=[7, 600]), (100, 100)).num_components == 6


def test_the_layer_survives_a_file(tmp_path: pathlib.Path) -> None:
    layer = all_stages.fitted(_rows(), _WIDTHS)
    inputs = [keras.Input((None, None, width)) for width in _WIDTHS]
    keras.Model(inputs, layer(inputs)).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    maps = [each.astype(np.float32) for each in _maps()]
    np.testing.assert_array_equal(loaded(maps), layer(maps))


@pytest.mark.parametrize(
    "weights",
    [
        {"mean": np.zeros(3)},
        {"mean": np.zeros(3), "projection": np.zeros([4, 2])},
        {"mean": np.zeros(3), "projection": np.zeros(3)},
        {"mean": np.full(3, np.nan), "projection": np.zeros([3, 2])},
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="weight"):
        all_stages.of_weights(weights)


def test_weights_are_kept() -> None:
    layer = all_stages.fitted(_rows(), _WIDTHS)
    mean, projection = layer.get_weights()
    copy = all_stages.of_weights({"mean": mean, "projection": projection})
    assert isinstance(copy, AllStages)
    np.testing.assert_array_equal(copy.of_statistics(_rows()), layer.of_statistics(_rows()))
