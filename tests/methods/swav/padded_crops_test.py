"""One pass over padded crops equals PyTorch's: the input of batch normalisation and the pooled features."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

from seer_tf import config as configs
from seer_tf.methods.swav.gradients import at_once, in_micro_batches
from seer_tf.methods.swav.model import SwavModel, build_swav_model, pixels_of_crop
from seer_tf.methods.swav.state import TrainState
from seer_tf.models.backbones.regnet.convert import convert
from seer_tf.models.backbones.regnet.design import design
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.moving_statistics import MovingStatistics
from tests.references import released_checkpoints

_SIDES, _NUM, _NUM_IMAGES = (96, 40), (2, 3), 2
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _crops() -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    return tuple(
        random.integers(0, 256, (_NUM_IMAGES, num, side, side, 3)).astype(np.uint8)
        for num, side in zip(_NUM, _SIDES, strict=True)
    )


def _of_pytorch(network: transformers.RegNetModel) -> np.ndarray:
    """Returns the pooled features of all crops, crop-major, as VISSL computes them.

    VISSL pads the crops, makes one pass in training mode, cuts the maps and pools.
    """
    images, is_padding, num_of_size = [], [], []
    for group in _crops():
        for crop in np.moveaxis(group, 1, 0):
            normalized = (crop / 255.0 - _MEAN) / _STD
            side = crop.shape[1]
            image, mask = torch.zeros(_NUM_IMAGES, 3, _SIDES[0], _SIDES[0]), torch.ones(_SIDES[0], _SIDES[0])
            image[:, :, :side, :side] = torch.tensor(normalized.transpose(0, 3, 1, 2))
            mask[:side, :side] = 0
            images.append(image)
            is_padding.append(mask)
            num_of_size.append(side)
    with torch.no_grad():
        maps = network.train()(torch.cat(images)).last_hidden_state
    small = torch.nn.functional.interpolate(torch.stack(is_padding)[None], size=maps.shape[-2:])[0]
    pooled = []
    for crop, mask in zip(maps.chunk(len(images)), small, strict=True):
        kept = int((mask[0] == 0).sum())
        pooled.append(crop[:, :, :kept, :kept].mean(dim=(2, 3)))
    assert {int((mask[0] == 0).sum()) for mask in small} == {3, 2}
    return torch.cat(pooled).numpy()


class _Identity(SwavHead):
    """Returns the features in place of embeddings and scores."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        return inputs, inputs


def test_features_and_moving_statistics_equal_pytorchs(tmp_path: Path) -> None:
    """The test fails if padding is zero before the normalisation, is cut elsewhere, or is hidden from batch norm."""
    torch.set_num_threads(1)
    network = released_checkpoints.random_network(design("90MF"))
    torch.save(released_checkpoints.vissl(network.state_dict()), tmp_path / "network.torch")
    backbone = convert(tmp_path / "network.torch").backbone
    model = SwavModel(backbone, _Identity((8,), 4, 5), _MEAN, _STD, pads_crops=True)
    for norm in released_checkpoints.norms(network):
        norm.momentum = 0.1  # the random network has another momentum
    expected = _of_pytorch(network)
    found, _ = model(_crops(), training=True)
    assert np.abs(found - expected).max() < 5e-4 * np.abs(expected).max()
    moved = {variable.path: variable.numpy() for variable in backbone.variables}
    stem = network.embedder.embedder.normalization
    np.testing.assert_allclose(moved["stem/bn/moving_mean"], stem.running_mean.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved["stem/bn/moving_variance"], stem.running_var.numpy(), rtol=1e-4, atol=1e-6)
    apart, _ = SwavModel(backbone, _Identity((8,), 4, 5), _MEAN, _STD)(_crops(), training=True)
    assert np.abs(apart - expected).max() > 2e-2 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("side", "map_side", "padded_side", "pixels"), [(96, 5, 160, 3), (160, 5, 160, 5), (40, 3, 96, 2), (32, 3, 96, 1)]
)
def test_a_crop_has_the_stated_number_of_pixels(side: int, map_side: int, padded_side: int, pixels: int) -> None:
    """SEER's small crops keep 3 x 3 pixels of 5 x 5."""
    assert pixels_of_crop(side, map_side, padded_side) == pixels


def test_crops_of_one_size_are_not_changed() -> None:
    config = configs.override(recipe("debug_tiny"), ["crops.num=4", "crops.sizes_px=32", "crops.padded=true"])
    config = configs.override(config, ["crops.min_area_fractions=0.2", "crops.max_area_fractions=1.0"])
    model = build_swav_model(configs.validate(config))
    crops = (np.random.default_rng(1).integers(0, 256, (2, 4, 32, 32, 3)).astype(np.uint8),)
    assert model.pads_crops
    padded = model(crops)[1]
    model.pads_crops = False
    np.testing.assert_allclose(model(crops)[1], padded, rtol=1e-6)


def test_the_first_pass_over_micro_batches_has_all_crops() -> None:
    """Batch norm would otherwise see other crops in the second pass, and the codes would belong to other scores."""
    assignments = ["crops.padded=true", "head.batch_norm=false", "run.accumulation_steps=1", "data.global_batch_size=4"]
    config = configs.override(recipe("debug_tiny"), [*assignments, "run.precision=float64"])
    random = np.random.default_rng(2)
    crops = tuple(
        tf.constant(random.integers(0, 256, (4, num, side, side, 3)).astype(np.uint8))
        for num, side in zip(config.crops.num, config.crops.sizes_px, strict=True)
    )
    state = TrainState(config)
    together = at_once(state, crops, MovingStatistics(state.model))
    state = TrainState(config)
    in_parts = in_micro_batches(state, crops, MovingStatistics(state.model))
    np.testing.assert_allclose(in_parts.codes, together.codes, rtol=1e-9)
    np.testing.assert_allclose(in_parts.loss, together.loss, rtol=1e-9)
