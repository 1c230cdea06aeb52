"""The config: assignments as text, checks, and the JSON file."""

import dataclasses
import json
import random
import re
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.config import BaseConfig, Config, Range, describe, forms
from seer_tf.errors import InputError
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
        ("head.num_prototypes=7.5", "must be a whole number"),
        ("head.num_prototypes=" + "9" * 5000, "must be a whole number"),
        ("head.batch_norm=maybe", "must be true or false"),
        ("crops.sizes_px=32,a", "must be a whole number, or several separated by commas"),
        ("num_prototypes", "section.field=value"),
    ],
)
def test_override_refuses(assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        configs.override(Config(), [assignment])


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("head.num_prototypes=1", "head.num_prototypes=1 must be 2 or more"),
        ("run.num_steps=" + "9" * 400, r"a number of about 400 digits\) must be at most 2,147,483,647"),
        ("run.num_steps=2147483648", "run.num_steps=2147483648 must be at most 2,147,483,647"),
        ("swav.queue_length=-" + "9" * 400, "digits\\) must be zero or more"),
        ("swav.epsilon=" + "9" * 400, "swav.epsilon=inf must be a finite number"),
        ("crops.sizes_px=224," + "9" * 400, "must be at most"),
        ("crops.mean=0,0,-inf", "crops.mean=-inf must be a finite number"),
        ("crops.blur_max_sigma_px=1e300", "from 0 to 1,000"),
        ("data.source=folder:a\nrun.seed=3", "one line of text"),
        ("run.reset=head\nrun.seed=3", "one line of text"),
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
        ("backbone.stem_stride=0", "from 1 to 2"),
        ("crops.flip_probability=5", "from 0 to 1"),
        ("crops.max_area_fractions=2,1", "above 0 and at most 1"),
        ("swav.epsilon=nan", "swav.epsilon=nan must be a finite number"),
        ("schedule.peak_learning_rate=nan", "a finite number"),
        ("schedule.peak_learning_rate=inf", "a finite number"),
        ("crops.brightness=1e300", "must be zero or of a size from 1e-18 to"),
        ("swav.temperature=1e-46", "must be zero or of a size from 1e-18"),
        ("schedule.peak_learning_rate=3.5e38", "must be zero or of a size from 1e-18"),
        ("schedule.peak_learning_rate=-1", "above zero"),
        ("optimizer.momentum=2", "from 0 to 1"),
        ("optimizer.weight_decay=-1", "zero or more"),
        ("data.max_bad_fraction=1", "below 1"),
        ("crops.sizes_px=16,32", "start with the largest size"),
        ("crops.blur_min_sigma_px=3", "above crops.blur_max_sigma_px"),
        ("crops.view_blur_probabilities=2", "from 0 to 1"),
        ("crops.view_solarize_probabilities=0,0,0,0,0,0,0.2", "more values than an image has crops, 6"),
        ("run.reset=head", "no meaning without run.init_from"),
        ("run.reset=heads", "did you mean 'head'"),
        ("schedule.kind=cosin", "valid ones are swav_cosine"),
        ("schedule.warmup_steps=1001", "the length of the run, run.num_steps=1000"),
    ],
)
def test_validate_refuses(assignment: str, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        configs.validate(configs.override(Config(), [assignment]))


@pytest.mark.parametrize("kind", [Config, FinetuneConfig])
def test_every_field_is_described(kind: type[BaseConfig]) -> None:
    for each in describe(kind):
        assert each.help[0].isupper() and each.help.endswith("."), each.path
        assert each.default == each.of(kind()), each.path
        if each.element_type in (int, float):
            assert isinstance(each.within, Range), each.path
        assert each.unit or not each.name.endswith(("_px", "_steps", "_epochs", "_replicas")), each.path


def test_a_field_is_declared_in_one_place() -> None:
    prototypes = next(each for each in describe(Config) if each.path == "head.num_prototypes")
    assert (prototypes.type, prototypes.default, str(prototypes.within)) == (int, 3000, "2 or more")
    assert prototypes.help == "Number of prototypes."
    steps = next(each for each in describe(Config) if each.path == "schedule.warmup_steps")
    assert (steps.unit, steps.parse("7"), steps.of(recipe("seer_regnety_16gf"))) == ("steps", 7, 8000)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"head.num_prototypes": 10**5000}, "a number of about 5,000 digits"),
        ({"head.num_prototypes": True}, "must be a whole number"),
        ({"head.batch_norm": 1}, "must be true or false"),
        ({"crops.num": [2, 4]}, "several separated by commas"),
        ({"crops.num": 2}, "several separated by commas"),
        ({"run.precision": None}, "must be one line of text"),
        ({"swav.epsilon": "0.1"}, "must be a number"),
    ],
)
def test_values_of_other_types_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        configs.validate(configs.replace(Config(), changes))


_PIECES = [
    *"=.,-+_ \t\n\0e9aπ٣½\ud800",
    "inf",
    "nan",
    "1e999",
    "9" * 400,
    "true",
    "none",
    "0x1F",
    "\u2028",
    "__class__",
]
_PATHS = [*(each.path for each in describe(Config)), "recipe", "recipe.a", "run", "run.", ".run", "head.x.y", ""]


def test_random_text_raises_only_input_errors() -> None:
    chance = random.Random(0)
    refused = 0
    for number in range(3000):
        text = "".join(chance.choices(_PIECES, k=chance.randrange(8)))
        assignment = text if number % 4 == 0 else f"{chance.choice(_PATHS)}={text}"
        try:
            config = configs.validate(configs.override(Config(), [assignment]))
        except InputError as error:
            refused += 1
            assert str(error).isprintable() or not assignment.isprintable()
            assert len(str(error)) < 800
        else:
            assert configs.override(Config(), configs.to_text(config).splitlines()) == config
            assert configs.from_json(json.loads(json.dumps(configs.to_json(config))), Config) == config
    assert 1500 < refused < 3000


@pytest.mark.parametrize(
    ("name", "assignments", "expected"),
    [
        ("swav_imagenet_400mf", ["run.num_steps=5000"], "frozen for 5005 .*, and the queue waits for 75075 "),
        ("debug_tiny", ["swav.queue_length=320"], "the run has 20 steps, but the queue waits for 20 "),
        ("debug_tiny", ["schedule.head_only_steps=20"], "all but the head is frozen for 20 "),
        (
            "debug_tiny",
            ["head.num_prototypes=65"],
            r"more than 4 prototypes for each image in batch and queue \(16 images\)",
        ),
    ],
)
def test_a_setting_without_effect_gets_a_warning(name: str, assignments: list[str], expected: str) -> None:
    (text,) = configs.override(recipe(name), assignments).warnings()
    assert re.search(expected, text)


def test_a_warning_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(forms.logging, "warning", lambda form, text: said.append(text))
    config = configs.override(recipe("debug_tiny"), ["schedule.head_only_steps=123"])
    assert configs.validate(config) == configs.validate(config)
    assert said == config.warnings()


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_needs_a_warning(name: str) -> None:
    assert recipe(name).warnings() == []


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_valid_and_equal_after_writing_and_reading(name: str) -> None:
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
    del values["run"]["seed"]
    with pytest.raises(InputError, match="from another version .* head.num_clusters, run.seed"):
        configs.from_json(values, Config)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"head": 3}, "no section head"),
        ({"head": {**configs.to_json(Config())["head"], "hidden_dims": ["a"]}}, "head.hidden_dims=a must be a whole"),
        ({"head": {**configs.to_json(Config())["head"], "num_prototypes": 1}}, "2 or more"),
        ({"kind": "distillation"}, "no kind of run 'distillation': .*pretraining, finetuning"),
        ({"kind": 3}, "no kind of run '3'"),
        ({"method": "byol"}, "this is a run of the method byol, and one of swav is needed"),
        ({"kind": "finetuning"}, "this is a finetuning run, and a pretraining run is needed"),
    ],
)
def test_a_file_with_other_values_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        configs.from_json(configs.to_json(Config()) | changes, Config)


@pytest.mark.parametrize("config", [recipe("debug_tiny"), FinetuneConfig()])
def test_a_file_names_its_kind_and_older_files_are_recognised_by_their_sections(config: BaseConfig) -> None:
    values = configs.to_json(config)
    assert (values["kind"], values.get("method")) == (
        ("pretraining", "swav") if isinstance(config, Config) else ("finetuning", None)
    )
    older = {name: value for name, value in values.items() if name not in ("kind", "method")}
    assert configs.read_kind(values) == configs.read_kind(older) == config.kind
    assert configs.from_json(older, type(config)) == config


@pytest.mark.parametrize("kind", [Config, FinetuneConfig])
def test_a_field_that_was_added_later_may_be_missing(kind: type[Config | FinetuneConfig]) -> None:
    values = configs.to_json(kind())
    for each in configs.describe(kind):
        if each.added_later:
            del values[each.section][each.name]
    assert values != configs.to_json(kind())
    assert configs.from_json(values, kind) == kind()


def test_differences_names_each_field() -> None:
    other = dataclasses.replace(Config(), run=dataclasses.replace(Config().run, seed=3, num_steps=9))
    assert configs.differences(Config(), other) == ["run.num_steps: 1000, 9", "run.seed: 0, 3"]
