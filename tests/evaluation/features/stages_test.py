"""Features by stage have VISSL's sizes and equal PyTorch's adaptive average."""

import numpy as np
import pytest
import tensorflow as tf
import torch

from seer_tf.errors import InputError
from seer_tf.evaluation.features.stages import Pooling, pooling, poolings, stage_features
from seer_tf.methods.swav.model import SwavModel, build_swav_model
from seer_tf.models.backbones.regnet.design import design
from seer_tf.models.stage_maps import stage_names
from seer_tf.pretraining.recipes import recipe

_SIZE_PX = 36


@pytest.fixture(scope="module")
def model() -> SwavModel:
    """The smallest network, with four stages."""
    return build_swav_model(recipe("debug_tiny"))


@pytest.mark.parametrize(
    ("variant", "dims"),
    [
        ("8GF", (8064, 12096, 2016)),
        ("32GF", (9744, 11136, 3712)),
        ("128GF", (8712, 14784, 7392)),
        ("256GF", (8206, 20888, 10444)),
    ],
)
def test_a_released_network_has_vissls_dimensions(variant, dims):
    """VISSL's configurations state these dimensions for its linear layers. No single rule fits all networks."""
    *_, res4, res5 = (stage.width for stage in design(variant).stages())
    shapes = {"res4": (14, 14, res4), "res5": (7, 7, res5), "avgpool": (7, 7, res5)}
    assert tuple(pooling(variant, stage, shape).dim for stage, shape in shapes.items()) == dims


def test_another_network_has_about_9000_features_and_no_more_cells_than_its_map(model):
    """The stages have widths 32 to 256, and at 36 px their maps have sides of at most 18 px."""
    assert stage_names(model.backbone) == ("res2", "res3", "res4", "res5")
    found = poolings(model.backbone, ["res2", "res3", "res5"], size_px=_SIZE_PX)
    assert found == {"res2": Pooling(17, 17, 32), "res3": Pooling(9, 9, 64), "res5": Pooling(3, 3, 256)}
    with pytest.raises(InputError, match="did you mean 'res5'"):
        poolings(model.backbone, ["res6"], size_px=_SIZE_PX)


def test_features_equal_pytorchs_adaptive_averages(model):
    """One pass gives the features of all stages.

    The test fails if rows and columns are swapped, or cells and channels.
    """
    images = np.random.default_rng(0).integers(0, 256, [3, _SIZE_PX, _SIZE_PX, 3], np.uint8)
    normalized = ((images / 255.0 - model.mean) / model.std).astype(np.float32)
    chosen = {"res3": Pooling(4, 3, 64), "res5": Pooling(2, 1, 256), "avgpool": Pooling(1, 1, 256)}
    found = tf.function(stage_features(model, chosen))(tf.constant(images))
    x = model.backbone.get_layer("stem")(normalized)
    for number in (1, 2, 3, 4):
        x = model.backbone.get_layer(f"stage{number}_block1")(x, training=False)
        stage = "res5" if number == 4 else f"res{number + 1}"
        for name in (stage, "avgpool") if number == 4 else (stage,):
            if name in chosen:
                average = torch.nn.AdaptiveAvgPool2d((chosen[name].rows, chosen[name].columns))
                expected = average(torch.from_numpy(np.transpose(x, [0, 3, 1, 2]).copy())).permute(0, 2, 3, 1)
                np.testing.assert_allclose(found[name], expected.reshape(3, -1), atol=1e-4)
