"""The rules of the recipe `auto`."""

import dataclasses
import itertools

import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.pretraining import planning
from seer_tf.pretraining.auto.choices import Choices, Facts
from seer_tf.pretraining.auto.rules import choose, find_rules, leaves_enough_steps, speed_of, with_speed
from seer_tf.pretraining.auto.swav_rules import with_view_correlation

LAPTOP = Facts(
    num_images=10_000,
    shorter_side_px=32,
    num_devices=1,
    is_accelerator=False,
    device_bytes=16 * 2**30,
    minutes=45,
    flops_per_second=50e9,
)
HOST = dataclasses.replace(
    LAPTOP,
    num_images=1_281_167,
    shorter_side_px=375,
    num_devices=8,
    is_accelerator=True,
    minutes=4 * 24 * 60,
    flops_per_second=80e12,
)
CLUSTER = dataclasses.replace(
    HOST, num_images=10**9, num_devices=512, device_bytes=32 * 2**30, minutes=8 * 24 * 60, flops_per_second=5e15
)


SWAV = find_rules("swav")


def _config(facts: Facts, *assignments: str) -> Config:
    return configs.validate(_choose(facts, *assignments).config)


def _choose(facts: Facts, *assignments: str) -> Choices:
    return choose(facts, configs.parse(Config, assignments))


@pytest.mark.parametrize(
    ("facts", "prototypes", "batch"),
    [(LAPTOP, 100, 64), (HOST, 3000, 512), (CLUSTER, 16_000, 8192)],
    ids=["laptop", "host", "cluster"],
)
def test_the_rules_agree_with_measurements_and_with_the_papers(facts, prototypes, batch):
    config = _config(facts)
    assert config.head.num_prototypes == pytest.approx(prototypes, rel=0.01)
    assert config.data.global_batch_size == batch


def test_every_combination_of_facts_gives_a_config_that_fits():
    for number, side, devices, minutes in itertools.product(
        (16, 132, 1_000, 50_000, 10**7), (20, 50, 224, 4000), (1, 4), (0.5, 60, 10_000)
    ):
        facts = dataclasses.replace(
            LAPTOP, num_images=number, shorter_side_px=side, num_devices=devices, minutes=minutes
        )
        config = _config(facts)
        assert config.data.global_batch_size <= number and config.data.global_batch_size % devices == 0
        assert 2 <= config.head.num_prototypes <= number
        assert config.swav.queue_length <= number
        assert config.crops.sizes_px[0] <= max(32, side)
        assert 0 < config.schedule.warmup_steps < config.run.num_steps
        assert planning.plan(config, devices).memory.total <= facts.device_bytes


def test_fewer_images_than_two_for_each_device_are_refused():
    with pytest.raises(InputError, match="3 images for 2 devices is too little"):
        choose(dataclasses.replace(LAPTOP, num_images=3, num_devices=2))


def test_more_time_never_gives_a_smaller_network():
    costs = [
        planning.plan(_config(dataclasses.replace(HOST, minutes=minutes)), 1).step_flops
        for minutes in (10, 100, 1_000, 10_000, 100_000)
    ]
    assert costs == sorted(costs) and costs[0] < costs[-1]


def test_many_prototypes_with_a_small_batch_get_a_queue():
    config = _config(dataclasses.replace(HOST, num_devices=1))
    assert config.swav.queue_length + config.data.global_batch_size >= config.head.num_prototypes
    assert _config(LAPTOP).swav.queue_length == 0


def test_the_length_follows_from_the_speed():
    choices = choose(LAPTOP)
    config = with_speed(choices, LAPTOP, images_per_second=320.0).config
    assert config.run.num_steps == 45 * 60 * 320 // 64
    shorter = with_speed(choices, LAPTOP, images_per_second=320.0, spent_minutes=5.0)
    assert shorter.config.run.num_steps == 40 * 60 * 320 // 64
    (reason,) = (choice.reason for choice in shorter if choice.field == "run.num_steps")
    assert reason == "45 minutes, minus 5.0 for finding these settings, at 320 images/s"
    late = with_speed(choices, LAPTOP, images_per_second=320.0, spent_minutes=50.0).config
    assert late.run.num_steps == 20  # a run that starts at all makes some steps
    few = with_speed(choices, LAPTOP, images_per_second=1.0).config
    assert few.run.num_steps == 42 and not leaves_enough_steps(few)
    smallest = choose(dataclasses.replace(LAPTOP, flops_per_second=64.0))
    # No smaller network is left.
    assert leaves_enough_steps(with_speed(smallest, LAPTOP, images_per_second=1.0).config)


def test_the_learning_rate_falls_with_the_length_down_to_swavs():
    rates = [
        _choose(LAPTOP, f"run.num_steps={steps}").config.schedule.peak_learning_rate
        for steps in (100, 2000, 4000, 8000, 10**6)
    ]
    assert rates == [2.0, 2.0, 2.0, 1.0, 0.075]
    assert _config(CLUSTER).schedule.peak_learning_rate == 0.3 * 8192 / 256


def test_the_length_follows_from_the_batch_that_the_user_sets():
    choices = _choose(LAPTOP, "data.global_batch_size = 256")
    config = with_speed(choices, LAPTOP, images_per_second=300.0).config
    assert (config.data.global_batch_size, config.run.num_steps) == (256, 45 * 60 * 300 // 256)
    assert config.schedule.reference_batch_size == 256


def test_a_length_that_the_user_sets_is_kept_and_the_rest_follows_it():
    config = with_speed(_choose(LAPTOP, "run.num_steps=800"), LAPTOP, images_per_second=300.0).config
    assert (config.run.num_steps, config.schedule.warmup_steps, config.run.checkpoint_every_steps) == (800, 200, 200)


def test_the_queue_follows_what_the_user_sets():
    assert _config(HOST, "data.global_batch_size=96").swav.queue_length % 96 == 0
    config = _config(LAPTOP, "head.num_prototypes=3000")
    assert config.swav.queue_length >= 3000 - 64
    assert config.swav.queue_start_step == config.run.num_steps * 3 // 40
    config = _config(dataclasses.replace(HOST, num_devices=1), "swav.queue_length=0")
    assert (config.swav.queue_length, config.swav.queue_start_step) == (0, 0)


def test_rates_follow_the_rate_and_the_batch_that_the_user_sets():
    assert _config(LAPTOP, "schedule.peak_learning_rate=1").schedule.final_learning_rate == 0.001
    ours, theirs = _config(LAPTOP), _config(LAPTOP, "schedule.reference_batch_size=256")
    assert theirs.schedule.peak_learning_rate == pytest.approx(4 * ours.schedule.peak_learning_rate, rel=0.01)


def test_a_network_and_crops_that_the_user_sets_are_the_only_candidates():
    config = _config(LAPTOP, "backbone.variant=4GF", "crops.sizes_px=96,48")
    assert (config.backbone.variant, config.crops.sizes_px, config.backbone.stem_stride) == ("4GF", (96, 48), 2)


def test_settings_from_the_user_are_not_changed_to_fit_the_memory():
    tight = dataclasses.replace(HOST, num_devices=1, device_bytes=3 * 2**30)
    network = ["backbone.variant=16GF", "crops.sizes_px=224,96"]
    assert _config(tight, *network).backbone.activation_checkpointing != "none"
    with pytest.raises(InputError, match="no network fits 3.0 GiB"):
        _choose(tight, *network, "run.accumulation_steps=1", "backbone.activation_checkpointing=none")


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("crops.num=2", "one value per group"),
        ("run.accumulation_steps=0", "above zero"),
        ("data.global_batch_size=0", "above zero"),
    ],
)
def test_settings_from_the_user_are_checked_first(assignment, sentence):
    with pytest.raises(InputError, match=sentence):
        _choose(LAPTOP, assignment)


def test_a_run_has_at_most_eight_hundred_epochs():
    config = _config(dataclasses.replace(LAPTOP, num_images=1_000, minutes=10_000))
    assert config.run.num_steps == 800 * 1_000 // 64


def test_the_speed_in_operations_agrees_with_the_planner():
    config = _config(LAPTOP)
    assert speed_of(config, 64.0) == planning.plan(config, 1).step_flops


def test_every_choice_has_a_reason():
    for choice in choose(HOST):
        assert len(choice.reason) > 5 and choice.reason in str(choice) and choice.field in str(choice)


def test_distortions_go_from_strong_to_none_and_start_in_the_middle_for_few_images():
    jitters = {
        facts.num_images: [choices.config.crops for choices in SWAV.distortions(choose(facts), facts)]
        for facts in (LAPTOP, HOST)
    }
    assert [crops.brightness for crops in jitters[LAPTOP.num_images]] == [0.4, 0.2, 0.0]
    assert [crops.hue for crops in jitters[HOST.num_images]] == [0.2, 0.2, 0.05, 0.0]
    assert jitters[HOST.num_images][-1].grayscale_probability == 0


def test_the_view_correlation_is_in_the_reason_and_changes_no_value():
    weakest = SWAV.distortions(choose(LAPTOP), LAPTOP)[-1]
    for share, words in ((0.123, "here 12.3 %"), (0.012, "only 1.2 %")):
        explained = with_view_correlation(weakest, share)
        assert explained.config == weakest.config
        assert [choice.field for choice in explained] == [choice.field for choice in weakest]
        assert any(words in choice.reason for choice in explained if choice.field == "crops.brightness")
    own = SWAV.distortions(_choose(LAPTOP, "crops.brightness=0.1"), LAPTOP)[-1]
    reasons = {choice.field: choice.reason for choice in with_view_correlation(own, 0.123)}
    assert reasons["crops.brightness"] == "as you set it" and "here 12.3 %" in reasons["crops.contrast"]


@pytest.mark.parametrize(("share", "hues"), [(0.0, [0.2, 0.05, 0.0]), (0.34, [0.2, 0.05, 0.0]), (0.5, [0.02, 0.0])])
def test_colour_is_kept_if_it_separates_the_classes(share: float, hues: list[float]) -> None:
    tried = SWAV.distortions(_choose(LAPTOP), LAPTOP, share)
    assert [each.config.crops.hue for each in tried] == hues
    said = {choice.field: choice.reason for choice in with_view_correlation(tried[0], 0.2, share)}
    assert ("colour tells the classes apart" in said["crops.brightness"]) == (share == 0.5)


@pytest.mark.parametrize(("steps", "features"), [(300, "all_stages"), (3000, "avgpool")])
def test_a_short_run_of_a_given_network_names_the_features_of_all_stages(steps: int, features: str) -> None:
    config = _choose(LAPTOP, "backbone.variant=resnet50", f"run.num_steps={steps}").config
    assert config.backbone.features == features
    measured = with_speed(_choose(LAPTOP, "backbone.variant=resnet50"), LAPTOP, 1.0)  # one image in a second
    assert measured.config.run.num_steps < 300 and measured.config.backbone.features == "all_stages"
