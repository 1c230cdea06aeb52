"""The config: overriding by text, checking, and its file form."""

import dataclasses
import json
import re
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.config import BaseConfig, Config
from seer_tf.errors import InputError
from seer_tf.finetuning import config as finetune_config
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.pretraining.recipes import RECIPES, recipe


def test_override_reads_by_type() -> None:
    changed = configs.override(
        Config(),
        [
            "head.num_prototypes=7",
            "swav.epsilon=3e-2",
            "head.batch_norm=false",
            "crops.sizes_px=32, 16",
            "data.source=folder:/a=b",
        ],
    )
    assert changed.head.num_prototypes == 7
    assert changed.swav.epsilon == 0.03
    assert changed.head.batch_norm is False
    assert changed.crops.sizes_px == (32, 16)
    assert changed.data.source == "folder:/a=b"


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("head.num_prototype=7", "did you mean 'num_prototypes'"),
        ("heads.num_prototypes=7", "did you mean 'head'"),
        ("head.num_prototypes=7.5", "is not a int"),
        ("head.batch_norm=maybe", "is not a bool"),
        ("crops.sizes_px=32,a", "is not a tuple"),
        ("num_prototypes", "section.field=value"),
    ],
)
def test_override_refuses(assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        configs.override(Config(), [assignment])


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("crops.num=2", "one value per group"),
        ("crops.min_area_fractions=0.5,0.3", "area"),
        ("swav.num_assigning_crops=3", "between 1 and"),
        ("run.precision=float8", "run.precision"),
        ("backbone.activation_checkpointing=blocks", "did you mean 'block'"),
        ("run.batch_norm_group_replicas=-1", "must be zero or more"),
        ("run.reduce_precision=float8", "no run.reduce_precision 'float8'"),
        ("run.accumulation_steps=0", "must be above zero"),
        ("run.accumulation_steps=3", "must be a multiple of run.accumulation_steps=3"),
        ("swav.queue_length=300", "must be a multiple of data.global_batch_size="),
        ("swav.queue_length=-16", "must be zero or more"),
        ("run.num_steps=0", "above zero"),
        ("crops.sizes_px=32,0", "crops.sizes_px=0 must be above zero"),
        ("data.global_batch_size=0", "above zero"),
        ("run.seed=-1", "from 0 to 4,294,967,295"),
        ("run.seed=4294967296", "from 0 to 4,294,967,295"),
        ("crops.mean=0.5", "three values"),
        ("crops.std=0,0,0", "above zero"),
        ("backbone.stem_stride=0", "above zero"),
        ("crops.flip_probability=5", "from 0 to 1"),
        ("crops.max_area_fractions=2,1", "above 0 and at most 1"),
        ("swav.epsilon=nan", "swav.epsilon=nan must be a finite number"),
        ("schedule.peak_learning_rate=nan", "a finite number"),
        ("schedule.peak_learning_rate=inf", "a finite number"),
        ("schedule.peak_learning_rate=-1", "above zero"),
        ("optimizer.momentum=2", "from 0 to 1"),
        ("optimizer.weight_decay=-1", "zero or more"),
        ("data.max_bad_fraction=1", "below 1"),
        ("crops.sizes_px=16,32", "largest first"),
        ("crops.blur_min_sigma_px=3", "above crops.blur_max_sigma_px"),
        ("run.reset=head", "run.init_from, which is not set"),
        ("run.reset=heads", "did you mean 'head'"),
        ("schedule.kind=cosin", "valid ones are swav_cosine"),
        ("schedule.warmup_steps=1001", "the length of the run, run.num_steps=1000"),
    ],
)
def test_validate_refuses(assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        configs.validate(configs.override(Config(), [assignment]))


@pytest.mark.parametrize(("config", "rules"), [(Config(), configs.RULES), (FinetuneConfig(), finetune_config._RULES)])
def test_every_number_has_a_range(config: BaseConfig, rules: dict[str, Any]) -> None:
    """So that a new field is not forgotten."""
    paths = {
        f"{section}.{field}"
        for section, fields in configs.to_json(config).items()
        if section != "recipe"
        for field, value in fields.items()
        if not isinstance(value, bool | str) and field != "reset"
    }
    assert paths - {path for path, rule in rules.items() if isinstance(rule, configs.Range)} == set()


@pytest.mark.parametrize(
    ("name", "assignments", "expected"),
    [
        ("swav_imagenet_400mf", ["run.num_steps=5000"], "frozen for 5005 .*, and the queue waits for 75075 "),
        ("debug_tiny", ["swav.queue_length=320"], "of the run's 20 steps the queue waits for 20 "),
        ("debug_tiny", ["schedule.head_only_steps=20"], "all but the head is frozen for 20 "),
        ("debug_tiny", ["head.num_prototypes=65"], "more than 4 for each of the 16 images of batch and queue"),
    ],
)
def test_what_has_no_effect_is_said(name: str, assignments: list[str], expected: str) -> None:
    (text,) = configs.warnings(configs.override(recipe(name), assignments))
    assert re.search(expected, text)


def test_a_warning_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(configs.logging, "warning", lambda form, text: said.append(text))
    config = configs.override(recipe("debug_tiny"), ["schedule.head_only_steps=123"])
    assert configs.validate(config) == configs.validate(config)
    assert said == configs.warnings(config)


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_needs_a_warning(name: str) -> None:
    assert configs.warnings(recipe(name)) == []


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_survives_its_file(name: str) -> None:
    config = configs.validate(recipe(name))
    assert config.recipe == name
    assert configs.from_json(json.loads(json.dumps(configs.to_json(config))), Config) == config
    assert configs.override(Config(recipe=name), configs.to_text(config).splitlines()) == config


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'cifar10_small'"):
        recipe("cifar_small")


def test_a_file_of_another_version_is_refused() -> None:
    values = configs.to_json(Config())
    values["head"]["num_clusters"] = 3
    with pytest.raises(InputError, match="not of this version"):
        configs.from_json(values, Config)


def test_differences_names_each_field() -> None:
    other = dataclasses.replace(Config(), run=dataclasses.replace(Config().run, seed=3, num_steps=9))
    assert configs.differences(Config(), other) == ["run.num_steps: 1000, 9", "run.seed: 0, 3"]
