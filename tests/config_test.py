"""The config: overriding by text, checking, and its file form."""

import dataclasses
import json

import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.errors import InputError
from seer_tf.recipes import RECIPES, recipe


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
        ("run.batch_norm_group_replicas=-1", "a number of replicas"),
        ("run.reduce_precision=float8", "no run.reduce_precision 'float8'"),
        ("run.accumulation_steps=0", "must be above zero"),
        ("run.accumulation_steps=3", "must be a multiple of run.accumulation_steps=3"),
        ("swav.queue_length=300", "must be a multiple of data.global_batch_size="),
        ("swav.queue_length=-16", "must be a multiple of"),
        ("run.num_steps=0", "above zero"),
        ("crops.sizes_px=32,0", "above zero"),
    ],
)
def test_validate_refuses(assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        configs.validate(configs.override(Config(), [assignment]))


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
