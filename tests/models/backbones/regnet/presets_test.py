"""Backbones by preset name, and with weights from files."""

from pathlib import Path

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from seer_tf.models.backbone import preset_name
from seer_tf.models.backbones.regnet.design import VARIANTS, design, parameter_count

_IMAGES = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype(np.float32)


def test_every_variant_is_a_preset() -> None:
    assert {preset_name(f"RegNetY-{variant}") for variant in VARIANTS} == set(seer_tf.Backbone.presets)
    assert len(seer_tf.Backbone.presets) == len(VARIANTS)  # 1.6GF and 16GF have different names


@pytest.mark.parametrize("name", ["regnety_1.6gf", "RegNetY-1.6GF", "regnet_y_1_6gf", "regnety_1_6GF"])
def test_one_preset_has_several_spellings(name: str) -> None:
    assert preset_name(name) == "regnety_1_6gf"


def test_a_name_gives_the_architecture_with_other_arguments() -> None:
    backbone = seer_tf.Backbone.from_preset("regnety_90mf", stem_stride=1, dtype="mixed_bfloat16")
    assert isinstance(backbone, RegNetY) and (backbone.variant, backbone.stem_stride) == ("90MF", 1)
    assert backbone.compute_dtype == "bfloat16"
    trained = sum(int(np.prod(variable.shape)) for variable in backbone.trainable_variables)
    assert trained == parameter_count(design("90MF"))


def test_a_file_gives_its_weights_unless_load_weights_is_false(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    saved = RegNetY("90MF")
    saved.save(tmp_path / "model.keras")
    for place in (tmp_path / "model.keras", tmp_path):
        loaded = seer_tf.Backbone.from_preset(place)
        np.testing.assert_array_equal(loaded(_IMAGES), saved(_IMAGES))
    fine = RegNetY.from_preset(tmp_path, stem_stride=1)
    assert fine.stem_stride == 1
    np.testing.assert_array_equal(fine.variables[0], saved.variables[0])
    fresh = seer_tf.Backbone.from_preset(tmp_path, load_weights=False)
    assert np.any(np.not_equal(fresh.variables[0], saved.variables[0]))


@pytest.mark.slow
def test_a_released_checkpoint_gives_its_weights(tmp_path: Path) -> None:
    import safetensors.torch

    from tests.references import released_checkpoints

    network = released_checkpoints.random_network(design("90MF"))
    safetensors.torch.save_file(network.state_dict(), tmp_path / "released.safetensors")
    backbone = seer_tf.Backbone.from_preset(tmp_path / "released.safetensors")
    expected = released_checkpoints.output(network, _IMAGES)
    np.testing.assert_allclose(backbone(_IMAGES), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert backbone.licence == ""  # no RegNetY-90MF is among the released networks of SEER


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("regnety_40mf", "there is no preset 'regnety_40mf': did you mean 'regnety_400mf'"),
        ("weights/nowhere.torch", "nowhere.torch"),
        ("nowhere.keras", "there is no file nowhere.keras"),
    ],
)
def test_a_missing_preset_is_named(preset: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        seer_tf.Backbone.from_preset(preset)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    with pytest.raises(InputError, match="this is no backbone"):
        seer_tf.Backbone.from_preset(tmp_path / "dense.keras")
