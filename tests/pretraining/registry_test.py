"""The recipes of all methods: valid, kept by their files, and with the numbers of their papers."""

import json
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.errors import InputError
from seer_tf.optimizers.schedules import scaled_learning_rate
from seer_tf.pretraining.registry import recipe, recipes

# From SimCLR (2002.05709) 2.3, 4, 6, table 5, appendix A, run.py, model_util.py, data_util.py, lars_optimizer.py;
# SimCLRv2's run.py and README.md, but its learning rate and warm-up are not verified; MoCo (1911.05722) 3.2, 4, MoCo v2
# (2003.04297) 3, main_moco.py, moco/builder.py; BYOL (2006.07733) 3.3, table 6, configs/byol.py, utils/schedules.py.
_VIEWS: dict[str, Any] = {
    "crops.num": (2,),
    "crops.sizes_px": (224,),
    "crops.min_area_fractions": (0.08,),
    "crops.max_area_fractions": (1.0,),
    "crops.color_jitter_probability": 0.8,
    "crops.grayscale_probability": 0.2,
    "crops.flip_probability": 0.5,
    "crops.blur_min_sigma_px": 0.1,
    "crops.blur_max_sigma_px": 2.0,
    "optimizer.momentum": 0.9,
    "schedule.final_learning_rate": 0.0,
}
_IMAGENET_COLOURS = {"crops.mean": (0.485, 0.456, 0.406), "crops.std": (0.229, 0.224, 0.225)}
_STRONG = {"crops.brightness": 0.8, "crops.contrast": 0.8, "crops.saturation": 0.8, "crops.hue": 0.2}
_SIMCLR = {
    **_VIEWS,
    **_STRONG,
    "crops.interpolation": "bicubic",
    "crops.mean": (0.0, 0.0, 0.0),
    "crops.std": (1.0, 1.0, 1.0),
    "crops.blur_probability": 0.5,
    "data.global_batch_size": 4096,
    "head.hidden_dims": (2048,),
    "head.embedding_dim": 128,
    "head.final_batch_norm": True,
    "simclr.temperature": 0.1,
    "optimizer.weight_decay": 1e-6,
    "optimizer.trust_coefficient": 0.001,
    "schedule.warmup_steps": 3127,
    "run.num_steps": 312_785,
}
EXPECTED: dict[str, dict[str, Any]] = {
    "simclr_imagenet_resnet50": _SIMCLR,
    "simclr_v2_imagenet_resnet50": {
        **_SIMCLR,
        "head.hidden_dims": (2048, 2048),
        "optimizer.weight_decay": 1e-4,
        "schedule.warmup_steps": 12_511,
        "run.num_steps": 250_228,
    },
    "moco_v2_imagenet_resnet50": {
        **_VIEWS,
        **_IMAGENET_COLOURS,
        "crops.interpolation": "bilinear",
        "crops.min_area_fractions": (0.2,),
        "crops.brightness": 0.4,
        "crops.contrast": 0.4,
        "crops.saturation": 0.4,
        "crops.hue": 0.1,
        "crops.blur_probability": 0.5,
        "data.global_batch_size": 256,
        "head.hidden_dims": (2048,),
        "head.embedding_dim": 128,
        "head.batch_norm": False,
        "moco.temperature": 0.2,
        "moco.momentum": 0.999,
        "moco.queue_length": 65_536,
        "optimizer.weight_decay": 1e-4,
        "schedule.warmup_steps": 0,
        "run.num_steps": 800 * 5004,
    },
    "byol_imagenet_resnet50": {
        **_VIEWS,
        **_IMAGENET_COLOURS,
        "crops.interpolation": "bicubic",
        "crops.brightness": 0.4,
        "crops.contrast": 0.4,
        "crops.saturation": 0.2,
        "crops.hue": 0.1,
        "crops.view_blur_probabilities": (1.0, 0.1),
        "crops.view_solarize_probabilities": (0.0, 0.2),
        "data.global_batch_size": 4096,
        "head.hidden_dims": (4096,),
        "head.embedding_dim": 256,
        "byol.predictor_dims": (4096,),
        "byol.momentum": 0.996,
        "optimizer.weight_decay": 1.5e-6,
        "optimizer.trust_coefficient": 0.001,
        "schedule.warmup_steps": 3127,
        "run.num_steps": 312_784,
    },
}
PEAKS = {
    "simclr_imagenet_resnet50": 4.8,
    "simclr_v2_imagenet_resnet50": 6.4,
    "moco_v2_imagenet_resnet50": 0.03,
    "byol_imagenet_resnet50": 3.2,
}


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_valid_and_survives_its_file(name: str) -> None:
    config = configs.validate(recipe(name))
    assert (config.recipe, config.warnings()) == (name, [])
    assert configs.from_json(json.loads(json.dumps(configs.to_json(config))), type(config)) == config
    assert configs.override(type(config)(recipe=name), configs.to_text(config).splitlines()) == config


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recipe_has_the_numbers_of_its_paper(name: str) -> None:
    config: Any = recipe(name)
    fields = {each.path: each.of(config) for each in configs.describe(type(config))}
    assert {path: fields[path] for path in EXPECTED[name]} == EXPECTED[name]
    schedule = config.schedule
    batches = config.data.global_batch_size, schedule.reference_batch_size
    peak = scaled_learning_rate(schedule.peak_learning_rate, *batches, schedule.batch_scaling)
    assert peak == pytest.approx(PEAKS[name])
    assert config.backbone.variant == "resnet50"
    regnet: Any = recipe(name.replace("resnet50", "4gf"))
    assert configs.differences(config, regnet) == ["backbone.variant: resnet50, 4GF"]


def test_every_recipe_of_a_paper_is_compared() -> None:
    of_others = {name for name in recipes() if name.startswith(("simclr", "moco", "byol"))}
    assert {name for name in of_others if "resnet50" in name} == EXPECTED.keys()


def test_an_unknown_recipe_names_the_nearest_of_any_method() -> None:
    with pytest.raises(InputError, match="did you mean 'byol_cifar10'"):
        recipe("byol_cifar")


def test_runs_of_different_methods_are_told_apart() -> None:
    values = configs.to_json(recipe("byol_cifar10"))
    assert issubclass(type(recipe("byol_cifar10")), PretrainingConfig)
    with pytest.raises(InputError, match="this is a run of the method byol, and one of simclr is needed"):
        configs.from_json(values, type(recipe("simclr_cifar10")))
