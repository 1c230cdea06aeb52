"""The rules of the recipe `auto` for SimCLR, MoCo and BYOL."""

import dataclasses
import itertools
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.optimizers.schedules import learning_rate_schedule
from seer_tf.pretraining import planning
from seer_tf.pretraining.auto.rules import METHODS, choose, find_rules
from seer_tf.pretraining.registry import find_method, recipe
from tests.pretraining.auto.rules_test import HOST, LAPTOP

OTHERS = [method for method in METHODS if method != Config.method]
of_each = pytest.mark.parametrize("method", OTHERS)


def _config(method: str, facts: Any = LAPTOP, **own: Any) -> Any:
    return configs.validate(choose(facts, own, method).config)


@of_each
def test_a_config_is_of_the_method_and_fits(method: str) -> None:
    for number, side, devices in itertools.product((16, 50_000, 10**7), (20, 224), (1, 4)):
        facts = dataclasses.replace(LAPTOP, num_images=number, shorter_side_px=side, num_devices=devices)
        config = _config(method, facts)
        assert (type(config), config.recipe) == (find_method(method).config, "auto")
        assert config.crops.num == (2,) and config.crops.sizes_px[0] <= max(32, side)
        assert 2 <= config.data.global_batch_size <= number and config.data.global_batch_size % devices == 0
        assert 0 < config.schedule.warmup_steps < config.run.num_steps
        assert planning.plan(config, devices).memory.total <= facts.device_bytes


@pytest.mark.parametrize(
    ("method", "name"), [("simclr", "simclr_cifar10"), ("moco", "moco_v2_cifar10"), ("byol", "byol_cifar10")]
)
def test_few_small_images_get_the_recipe_for_small_images(method: str, name: str) -> None:
    """All but `backbone.features`, which is no part of the training."""
    facts = dataclasses.replace(LAPTOP, flops_per_second=1e9)
    fields = {"run.num_steps": 4000, "backbone.features": "avgpool"}
    found = find_rules(method).distortions(choose(facts, fields, method), facts)[0].config
    expected: Any = recipe(name)
    for section in ("crops", "backbone", "head", "optimizer", method):
        assert getattr(found, section) == getattr(expected, section), section
    assert found.data.global_batch_size == expected.data.global_batch_size == 128
    rates = [learning_rate_schedule(each.schedule, 4000, 128).peak_learning_rate for each in (found, expected)]
    assert rates[0] == pytest.approx(rates[1], rel=0.01)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("simclr", "simclr_imagenet_resnet50"),
        ("moco", "moco_v2_imagenet_resnet50"),
        ("byol", "byol_imagenet_resnet50"),
    ],
)
def test_many_photographs_get_the_papers_heads_losses_and_crops(method: str, name: str) -> None:
    found, expected = _config(method, HOST), recipe(name)
    for section in ("head", method, "optimizer"):
        ours, theirs = getattr(found, section), getattr(expected, section)
        if section == "head" and method == "simclr":
            theirs = dataclasses.replace(theirs, final_batch_norm=False)  # as in the recipe for small images
        assert ours == theirs, section
    found = find_rules(method).distortions(choose(HOST, {}, method), HOST)[0].config
    for field in ("brightness", "saturation", "hue", "view_solarize_probabilities"):
        assert getattr(found.crops, field) == getattr(expected.crops, field), field
    for field in ("num", "min_area_fractions", "max_area_fractions", "blur_probability", "view_blur_probabilities"):
        assert getattr(found.crops, field) == getattr(expected.crops, field), field


def test_the_queue_holds_whole_batches_and_at_most_half_of_the_images() -> None:
    config = _config("moco", dataclasses.replace(LAPTOP, num_images=3000), **{"data.global_batch_size": 96})
    assert config.moco.queue_length == 1440
    assert _config("moco", **{"moco.queue_length": 256}).moco.queue_length == 256
    with pytest.raises(InputError, match="moco.queue_length=100 must be a multiple"):
        _config("moco", **{"moco.queue_length": 100})


def test_averages_get_longer_with_the_run_up_to_the_papers() -> None:
    found = [_config("moco", **{"run.num_steps": steps}).moco.momentum for steps in (100, 8000, 10**6)]
    assert found == [0.99, 0.995, 0.999]
    found = [_config("byol", **{"run.num_steps": steps}).byol.momentum for steps in (100, 4000, 10**6)]
    assert found == [0.9, 0.99, 0.996]


@of_each
def test_colour_is_kept_if_it_separates_the_classes(method: str) -> None:
    choices, rules = choose(LAPTOP, {}, method), find_rules(method)
    strong, weak = (rules.distortions(choices, LAPTOP, share)[0].config.crops for share in (0.1, 0.5))
    assert (strong.hue, weak.hue) == (0.1, 0.02)


def test_a_method_without_rules_is_refused() -> None:
    with pytest.raises(InputError, match="there is no method of recipe auto 'dino'"):
        choose(LAPTOP, {}, "dino")


@of_each
def test_every_choice_has_a_reason(method: str) -> None:
    for choice in choose(HOST, {}, method):
        assert len(choice.reason) > 5 and choice.field in str(choice)
