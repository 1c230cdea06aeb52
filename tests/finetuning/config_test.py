"""The config and the recipes of fine-tuning."""

import dataclasses
import json

import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.images.transform import Transform
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig, with_length
from seer_tf.finetuning.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_equal_after_writing_and_reading(name: str) -> None:
    config = configs.validate(recipe(name))
    assert config.recipe == name
    assert configs.from_json(json.loads(json.dumps(configs.to_json(config))), FinetuneConfig) == config
    assert configs.override(FinetuneConfig(recipe=name), configs.to_text(config).splitlines()) == config


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("crops.num=2", "one crop per image"),
        ("run.reset=head", "run.reset is for pretraining"),
        ("schedule.kind=step", "did you mean 'steps'"),
        ("schedule.step_epochs=30,20", "in rising order"),
        ("mixing.label_smoothing=1.5", "from 0 to 1"),
        ("optimizer.layer_decay=-1", "from 0 to 1"),
        ("schedule.peak_learning_rate=0", "above zero"),
        ("data.global_batch_size=0", "above zero"),
        ("transform.size_px=384", "transform.resize_px=256 is less than transform.size_px=384"),
        ("transform.resize_px=-1", "transform.resize_px=-1 must be zero or more"),
        ("transform.interpolation=cubic", "did you mean 'bicubic'"),
        ("run.on_trouble=sotp", "did you mean 'stop'"),
        ("crops.min_area_fractions=2", "at most 1"),
        ("crops.sizes_px=0", "above zero"),
        ("crops.sizes_px=32,16", "one value per group"),
        ("data.fraction=3", "data.fraction=3.0 must be above 0 and at most 1"),
        ("run.num_steps=-5", "zero or more"),
        ("schedule.peak_learning_rate=nan", "a finite number"),
        ("schedule.num_epochs=1e9", "at most 1,000,000"),
        ("schedule.warmup_epochs=40", "schedule.warmup_epochs=40.0 is more than schedule.num_epochs=35.0"),
    ],
)
def test_validate_refuses(assignment: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        configs.validate(configs.override(recipe("finetune_imagenet_224"), [assignment]))


def test_a_resize_of_zero_fits_any_crop() -> None:
    assignments = ["transform.size_px=384", "transform.resize_px=0"]
    config = configs.validate(configs.override(recipe("finetune_imagenet_224"), assignments))
    assert str(Transform(**dataclasses.asdict(config.transform))).startswith("shorter side to 439 px")


def test_a_file_of_another_kind_of_run_is_refused() -> None:
    with pytest.raises(InputError, match="this is a finetuning run, and a pretraining run is needed"):
        configs.from_json(configs.to_json(recipe("finetune_small")), Config)
    with pytest.raises(InputError, match="did you mean 'low_shot_imagenet_1'"):
        recipe("low_shot_imagenet")


def test_a_length_that_no_counter_holds_is_refused() -> None:
    config = configs.override(recipe("finetune_small"), ["schedule.num_epochs=1e6", "data.global_batch_size=1"])
    assert with_length(config, 2000).run.num_steps == 2_000_000_000
    with pytest.raises(InputError, match="run.num_steps=3000000000 must be at most 2,147,483,647"):
        with_length(config, 3000)
