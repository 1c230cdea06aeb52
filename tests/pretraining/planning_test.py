"""The planner agrees with the built network, with the paper, and with the memory of a step."""

import dataclasses
import re
import subprocess
import sys
from typing import Any

import pytest
import tensorflow as tf

from benchmarks.suite.step_memory import CASES, planned_and_needed
from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.pretraining import planning
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.registry import recipes
from tests.places import DOCS
from tests.replicas import two_replicas
from tests.small_networks import random_crops, shared_out

COMMAND = [sys.executable, "experiments/plan_run.py"]
_WITHOUT_BATCH_NORM_IN_THE_HEAD = ("run.accumulation_steps=2", "head.batch_norm=false")


def test_weight_sizes_equal_those_of_the_network() -> None:
    config = recipe("debug_tiny")
    weights = TrainState(config).model.trainable_variables
    assert planning.weight_sizes(config) == [weight.shape.num_elements() for weight in weights]
    assert planning.plan(config, num_devices=1).parameters == sum(planning.weight_sizes(config))


@pytest.mark.parametrize("name", ["seer_regnety_8gf", "seer_regnety_256gf"])
def test_parameters_are_the_sum_of_the_weights(name: str) -> None:
    assert planning.plan(recipe(name), num_devices=1).parameters == sum(planning.weight_sizes(recipe(name)))


def test_the_256gf_network_has_the_papers_numbers() -> None:
    plan = planning.plan(recipe("seer_regnety_256gf"), num_devices=512)
    assert plan.backbone_parameters == 1_272_156_138
    assert plan.head_parameters == 10444 * 8192 + 8192 + 8192 * 8192 + 8192 + 8192 * 256 + 256
    assert plan.prototype_parameters == 16_000 * 256
    assert plan.images_per_device == 16
    # 254.4 GMAC at 224 px. A backward pass costs two forward passes, and checkpointing adds one forward pass.
    large = 2 * 254.4e9
    per_image = plan.step_flops / 8192
    assert 4 * 2 * large < per_image < 4 * 2 * large * 1.5


def test_padded_crops_halve_the_reductions_of_the_10b_network() -> None:
    config = recipe("seer_regnety_10b")
    plan, apart = (
        planning.plan(configs.override(config, [f"crops.padded={padded}"]), num_devices=496) for padded in (True, False)
    )
    assert plan.backbone_parameters == 9_323_934_872
    assert plan.images_per_device == 16
    assert plan.batch_norm.number == apart.batch_norm.number / 2  # one pass in place of two
    assert 1.5 < plan.memory.activations / apart.memory.activations < 2  # (6 * 160^2) / (2 * 160^2 + 4 * 96^2) = 1.74
    assert plan.memory.weights > 40e9  # no device with 40 GB holds the weights, so the released run shards them


@pytest.mark.parametrize(
    ("batch", "steps", "seconds", "expected"), [(8704, 114_890, 6.125, 8.1), (8192, 122_070, 6.125 * 8192 / 8704, 8.1)]
)
def test_days_equal_the_papers(batch: int, steps: int, seconds: float, expected: float) -> None:
    assert round(1_000_000_000 / batch) == steps
    assert planning.days(steps * batch, batch / seconds) == pytest.approx(expected, abs=0.05)


def test_memory_follows_from_batch_and_activation_checkpointing() -> None:
    config = configs.override(recipe("seer_regnety_16gf"), ["run.precision=float32"])
    base = planning.plan(config, 128).memory
    assert base.velocity == base.weights == base.gradients / 3
    twice = planning.plan(configs.override(config, ["data.global_batch_size=8192"]), 128).memory
    assert twice.activations == pytest.approx(2 * base.activations) and twice.weights == base.weights
    by = {
        kind: planning.plan(configs.override(config, [f"backbone.activation_checkpointing={kind}"]), 128).memory
        for kind in ("none", "convolution", "block", "stage")
    }
    activations = [by[kind].activations for kind in ("stage", "block", "convolution", "none")]
    assert activations == sorted(set(activations))
    assert 0 == by["none"].recomputed < by["convolution"].recomputed < by["block"].recomputed < by["stage"].recomputed
    assert by["block"].total < by["convolution"].total < by["none"].total


def test_reductions_are_counted() -> None:
    plan = planning.plan(recipe("seer_regnety_256gf"), 512)
    # There are 1 + 27 * 3 + 4 layers of batch norm for each of two resolutions, forward and backward. The head has
    # none.
    assert plan.batch_norm.number == 2 * 2 * 86
    widths = 32 + 2 * 3 * 746 + 746 + 7 * 3 * 1492 + 1492 + 17 * 3 * 4103 + 4103 + 3 * 10444 + 10444
    # Forward, each layer sums values, squares and the number of rows, and backward two gradients.
    assert plan.batch_norm.num_bytes == 2 * (512 // 64) * (2 * widths + 86 + 2 * widths) * 4
    assert (plan.embeddings.number, plan.embeddings.num_bytes) == (11, 2 * (10 * 16_000 + 512) * 4)
    # The buckets hold 128 MiB, and five weights are larger than a bucket. The number is at least the quotient, and
    # slightly more.
    assert plan.gradients.num_bytes == plan.parameters * 4
    assert plan.gradients.num_bytes / 2**27 < plan.gradients.number < 1.5 * plan.gradients.num_bytes / 2**27


def test_a_queue_needs_memory_and_a_gather() -> None:
    config = recipe("swav_imagenet_400mf")
    without = planning.plan(configs.override(config, ["swav.queue_length=0"]), 2)
    plan = planning.plan(config, 2)
    # Both devices hold all embeddings of two crops with 128 dimensions. Each scores half of them against 3,000
    # prototypes.
    assert plan.memory.total - without.memory.total == 2 * 3840 * 128 * 4 + 3 * 2 * 1920 * 3000 * 4
    assert plan.embeddings.number == without.embeddings.number + 1
    assert plan.embeddings.num_bytes == without.embeddings.num_bytes + 2 * 256 * 128 * 4
    double = planning.plan(configs.override(config, ["run.precision=float64"]), 2)
    assert double.memory.queue == 2 * plan.memory.queue


def test_codes_of_a_small_epsilon_are_counted_in_float64() -> None:
    config = recipe("swav_imagenet_400mf")
    plan, fine = (planning.plan(configs.override(config, [f"swav.epsilon={e}"]), 2) for e in (0.05, 0.02))
    # Each device scores 128 images: 3 iterations, 3,000 prototypes, two assigning crops, 4 more bytes for each number.
    assert fine.embeddings.num_bytes - plan.embeddings.num_bytes == 4 * 2 * (3 * 3000 + 2)
    assert fine.memory.head - plan.memory.head == 4 * 3 * 2 * 128 * 3000
    assert fine.memory.queue - plan.memory.queue == 4 * 3 * 2 * 1920 * 3000


def test_the_page_says_what_each_recipe_needs() -> None:
    page = (DOCS / "guides" / "planning.md").read_text()
    rows = re.findall(r"^\| `(seer_\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert len(rows) == 6
    for name, cells in rows:
        by_blocks = configs.override(recipe(name), ["backbone.activation_checkpointing=block"])
        plans = [planning.plan(config, number) for number in (128, 512) for config in (recipe(name), by_blocks)]
        assert cells == " | ".join(f"{each.memory.total / 2**30:.1f}" for each in plans), name


def test_the_page_says_what_the_recipes_of_imagenet_need() -> None:
    page = (DOCS / "guides" / "planning.md").read_text()
    rows = re.findall(r"^\| `(\w+_imagenet_\w+)` \| (.+) \|$", page, re.MULTILINE)
    assert {name for name, _ in rows} == {name for name in recipes() if "_imagenet_" in name}
    for name, cells in rows:
        plans = [planning.plan(recipes()[name](), number) for number in (8, 32, 64)]
        assert cells == " | ".join(f"{each.memory.total / 2**30:.1f}" for each in plans), name


def test_groups_of_batch_norm_that_do_not_divide_the_devices_are_refused() -> None:
    config = configs.override(recipe("debug_tiny"), ["run.batch_norm_group_replicas=3"])
    with pytest.raises(InputError, match="does not divide the 4 replicas"):
        planning.plan(config, 4)
    assert planning.plan(config, 2).batch_norm == planning.plan(recipe("debug_tiny"), 2).batch_norm


@pytest.mark.parametrize(
    "flag",
    [
        "--step_seconds",
        pytest.param("--images_per_second", marks=pytest.mark.slow),
        pytest.param("--device_memory_gib", marks=pytest.mark.slow),
    ],
)
def test_the_command_refuses_flags_of_zero(flag: str) -> None:
    child = subprocess.run([*COMMAND, "--recipe=debug_tiny", f"{flag}=0"], capture_output=True, text=True, timeout=600)
    assert child.returncode == 2
    assert f"error: {flag}=0 must be above zero" in child.stderr


def test_settings_that_make_a_run_fit_are_found() -> None:
    config = configs.override(recipe("seer_regnety_16gf"), ["run.precision=float32"])
    whole = planning.plan(config, 128).memory.total
    assert planning.fitting(config, 128, whole) == ({}, config)
    found = planning.fitting(config, 128, whole // 8)
    assert found is not None
    values, changed = found
    assert list(values.items())[:2] == [
        ("run.precision", "mixed_bfloat16"),
        ("backbone.activation_checkpointing", "block"),
    ]
    assert configs.replace(config, values) == changed
    assert planning.plan(changed, 128).memory.total <= whole // 8
    assert planning.fitting(config, 128, 10**8) is None


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match=r"global_batch_size=16 cannot be divided by 3 devices"):
        planning.plan(recipe("debug_tiny"), 3)


def test_the_command_prints_length_memory_and_settings_that_fit() -> None:
    arguments = ["--recipe=seer_regnety_256gf", "--devices=512", "--set=data.global_batch_size=8704"]
    arguments += ["--num_images=1000000000", "--step_seconds=6.125", "--device_memory_gib=32"]
    child = subprocess.run(COMMAND + arguments, capture_output=True, text=True, check=True, timeout=600)
    assert "1,000,000,000 images, 114,890 steps, 8.1 days at 1,421 images/s" in child.stdout
    assert "512 devices x 17 images = 8704" in child.stdout
    assert "does not fit  into 32 GiB; it would" in child.stdout and "--set run.accumulation_steps=17" in child.stdout
    for kind in ("none", "convolution", "stage"):  # the recipe has "block"
        assert f"with --set backbone.activation_checkpointing={kind} " in child.stdout


def test_the_command_says_if_no_setting_fits_and_prints_the_real_runs_length() -> None:
    arguments = ["--recipe=seer_regnety_256gf", "--devices=512", "--device_memory_gib=24"]
    child = subprocess.run(COMMAND + arguments, capture_output=True, text=True, check=True, timeout=600)
    assert "does not fit  into 24 GiB with any settings: weights, velocity and gradients take 29.32 GiB" in child.stdout
    assert "512 devices x 16 images = 8192" in child.stdout and "images, 122,070 steps" in child.stdout


@pytest.mark.slow
@pytest.mark.multi_replica
@pytest.mark.parametrize("fields", [(), ("run.accumulation_steps=2",), _WITHOUT_BATCH_NORM_IN_THE_HEAD])
def test_reductions_equal_those_of_a_step(fields: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    config, strategy = configs.override(recipe("debug_tiny"), fields), two_replicas()
    reduced_bytes = []
    all_reduce = tf.distribute.ReplicaContext.all_reduce

    def counted(context: tf.distribute.ReplicaContext, op: Any, value: tf.Tensor, options: Any = None) -> tf.Tensor:
        reduced_bytes.append(value.shape.num_elements() * value.dtype.size)
        return all_reduce(context, op, value, options)

    with strategy.scope():
        state = TrainState(config)
    crops = shared_out(random_crops(config, config.data.global_batch_size), strategy)
    step = tf.function(lambda crops: strategy.run(train_step, args=(state, crops)), autograph=False)
    monkeypatch.setattr(tf.distribute.ReplicaContext, "all_reduce", counted)
    step.get_concrete_function(crops)
    plan = planning.plan(config, num_devices=2)
    planned = (plan.batch_norm, plan.embeddings, plan.gradients)
    # Both replicas were traced. Two sums are not in the plan: the loss, and the logged numbers.
    assert len(reduced_bytes) == 2 * (sum(sums.number for sums in planned) + 2)
    others = sum(reduced_bytes) / 2 - sum(sums.num_bytes for sums in planned)
    assert 0 < others < 1000


def test_accumulation_costs_a_forward_pass_of_the_assigning_crops() -> None:
    config = configs.override(recipe("seer_regnety_64gf"), ["data.global_batch_size=4"])
    once, parts = (
        planning.plan(configs.override(config, [f"run.accumulation_steps={steps}"]), 1).step_flops for steps in (1, 4)
    )
    # The backbone has 64.07 GMAC at 224 px and the head 148 million, for two crops of each of four images.
    assert parts - once == pytest.approx(2 * 4 * 2 * (64.07e9 + 148e6), rel=1e-3)
    all_crops = configs.override(config, ["run.accumulation_steps=4", "head.batch_norm=true"])
    assert planning.plan(all_crops, 1).step_flops / once == pytest.approx(4 / 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_memory_is_within_a_fifth_of_a_real_steps_memory(case: tuple) -> None:
    planned, needed = planned_and_needed(*case)
    assert planned == pytest.approx(needed, rel=0.2)


def test_memory_is_the_sum_of_its_parts() -> None:
    memory = planning.plan(recipe("debug_tiny"), 1).memory
    assert memory.total == sum(dataclasses.asdict(memory).values())
