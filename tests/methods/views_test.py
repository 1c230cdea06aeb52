"""Tests for every method that compares two views: replicas, skipped steps, interruptions, and settings."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.pretraining import warm_start
from seer_tf.pretraining.registry import find_method
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.step import checked_tensors
from tests.replicas import two_replicas
from tests.small_networks import random_crops
from tests.two_processes import run_two_processes
from tests.view_methods import METHODS, NUM_IMAGES, distances, snapshot

every_method = pytest.mark.parametrize("name", METHODS)
#: MoCo has all parts of a state, a momentum encoder and a queue; the others are among the slow tests.
moco_and_slow_others = pytest.mark.parametrize(
    "name", ["moco", *(pytest.param(name, marks=pytest.mark.slow) for name in METHODS if name != "moco")]
)
# The global batch has eight images, so one replica has 4N of them, and each of two has 2N.
_WORKER = """
import json, sys
import numpy as np
import tensorflow as tf
from tests.view_methods import METHODS

strategy = tf.distribute.MultiWorkerMirroredStrategy()
worker = strategy.cluster_resolver.task_id
for name, method in METHODS.items():
    found, numbers = method.after(strategy)
    np.savez(f"{sys.argv[1]}/{name}-{worker}.npz", **{path.replace("/", "|"): each for path, each in found.items()})
    with open(f"{sys.argv[1]}/{name}-{worker}.json", "w") as file:
        json.dump(numbers, file)
"""


@pytest.mark.multi_replica
@moco_and_slow_others
def test_two_replicas_equal_one(name: str) -> None:
    assert_equals_one_replica(name, *METHODS[name].after(two_replicas()))


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the variables and the metrics of all methods in each of two processes."""
    folder = tmp_path_factory.mktemp("two_processes")
    run_two_processes(_WORKER, [str(folder)], timeout_seconds=600)
    return folder


@pytest.mark.slow
@pytest.mark.two_process
@every_method
def test_two_processes_equal_one_replica(name: str, two_processes: pathlib.Path) -> None:
    for worker in (0, 1):
        file = np.load(two_processes / f"{name}-{worker}.npz")
        found = {path.replace("|", "/"): file[path] for path in file.files}
        assert_equals_one_replica(name, found, json.loads((two_processes / f"{name}-{worker}.json").read_text()))


def assert_equals_one_replica(name: str, found: dict[str, np.ndarray], numbers: list[dict[str, float]]) -> None:
    expected, numbers_of_one = METHODS[name].after(tf.distribute.get_strategy())
    assert {path: far for path, far in distances(found, expected).items() if not far < 1e-9} == {}
    for one, two in zip(numbers_of_one, numbers, strict=True):
        assert one == pytest.approx(two, rel=1e-6)


@moco_and_slow_others
def test_a_restored_run_equals_an_uninterrupted_one_bit_for_bit(name: str) -> None:
    method = METHODS[name]
    config = method.config("run.precision=float32")
    whole, states = method.build(config), [method.build(config), method.build(config)]
    for number in range(4):
        batch = tuple(map(tf.constant, random_crops(config, NUM_IMAGES, number)))
        method.step(whole, batch)
        method.step(states[number // 2], batch)
        if number == 1:
            for path, variable in states[1].named_variables().items():
                variable.assign(states[0].named_variables()[path])
    expected, found = snapshot(whole), snapshot(states[1])
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


@moco_and_slow_others
def test_a_step_with_a_bad_number_changes_nothing(name: str) -> None:
    method = METHODS[name]
    config = method.config("run.precision=mixed_float16")
    state = method.build(config)
    good = tuple(map(tf.constant, random_crops(config, NUM_IMAGES)))
    state.loss_scale.value.assign(8.0)
    assert method.step(state, good)["first_bad"] == -1
    before = snapshot(state)
    (crops,) = random_crops(config, NUM_IMAGES, 1)
    bad = crops.astype(np.float32)
    bad[-1, 0, 3, 3, 1] = np.inf
    numbers = method.step(state, (tf.constant(bad),))
    assert 0 <= int(numbers["first_bad"]) < len(checked_tensors(state))
    changed = {path for path, value in snapshot(state).items() if not np.array_equal(before[path], value)}
    assert changed == {"skipped_steps/total", "skipped_steps/in_a_row", "loss_scale/value", "loss_scale/good_steps"}


@moco_and_slow_others
def test_every_variable_is_named_and_nearly_all_variables_change(name: str) -> None:
    method = METHODS[name]
    config = method.config()
    state = method.build(config)
    before = snapshot(state)
    batch = tuple(map(tf.constant, random_crops(config, NUM_IMAGES)))
    assert method.step(state, batch)["first_bad"] == -1
    still = {path for path, value in snapshot(state).items() if np.array_equal(before[path], value)}
    scale = {"loss_scale/value", "loss_scale/good_steps", "skipped_steps/total", "skipped_steps/in_a_row"}
    # The gradient of a bias before batch norm is rounding noise. An average may lose such small changes.
    assert still - {"momentum_encoder/head/linear2/bias"} == scale | {"step"}


@pytest.mark.parametrize("name", [pytest.param("moco", marks=pytest.mark.slow), "byol"])
def test_a_warm_start_reaches_both_networks(name: str, tmp_path: pathlib.Path) -> None:
    method = METHODS[name]
    given = method.build(method.config("run.seed=3")).model.backbone
    state = method.build(method.config())
    found = warm_start._converted(given, tmp_path / "no_head.keras")
    warm_start._take_converted(state.named_variables(), found)
    for network in state.networks:
        for variable, expected in zip(network.backbone.variables, given.variables, strict=True):
            np.testing.assert_array_equal(variable, expected, err_msg=variable.path)
    heads = [network.head.variables for network in state.networks]
    assert all(np.array_equal(one, other) for one, other in zip(*heads, strict=True))


@pytest.mark.parametrize("name", [pytest.param("moco", marks=pytest.mark.slow), "byol"])
def test_after_a_run_of_another_method_both_networks_have_its_backbone(name: str, tmp_path: pathlib.Path) -> None:
    """The other run has no momentum encoder to take."""
    method, other = METHODS[name], METHODS["simclr"]
    directory, before = RunDirectory(tmp_path), other.build(other.config())
    directory.claim(before.config)
    checkpoints = Checkpoints(directory, before)
    checkpoints.save()
    checkpoints.wait()
    settings = (f"run.init_from={tmp_path}", "run.reset=head,queue,optimizer,schedule", "run.seed=3")
    state = method.build(method.config(*settings))
    warm_start.initialize(state)
    for network in state.networks:
        for variable, expected in zip(network.backbone.variables, before.model.backbone.variables, strict=True):
            np.testing.assert_array_equal(variable, expected, err_msg=variable.path)
    heads = [network.head.variables for network in state.networks]
    assert all(np.array_equal(one, other) for one, other in zip(*heads, strict=True))


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("momentum_encoder/stem/conv/kernel", set()),
        ("momentum_encoder/head/linear1/kernel", {"head"}),
        ("model/predictor/linear1/kernel", {"head"}),
        ("sgd/velocity/head/linear1/kernel", {"head", "optimizer"}),
        ("sgd/velocity/stem/conv/kernel", {"optimizer"}),
        ("sgd/iterations", {"schedule"}),
        ("queue/keys", {"queue", "head"}),
    ],
)
def test_parts_that_a_warm_start_can_leave_out(variable: str, expected: set[str]) -> None:
    assert warm_start._parts(variable) == expected


@every_method
@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("run.accumulation_steps=2", "needs all images of a step at once, for its loss or for batch normalisation"),
        ("crops.num=3", "compares two views of an image; leave it at 2"),
        ("data.global_batch_size=1", "compares images with each other; take 2 or more"),
        ("schedule.head_only_steps=3", "works only with swav; leave it at 0"),
        ("schedule.warmup_steps=99999", "the length of the run"),
    ],
)
def test_settings_that_a_method_does_not_support_are_refused(name: str, assignment: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        configs.validate(configs.override(find_method(name).config(), [assignment]))


@pytest.mark.parametrize("name", ["simclr", "moco"])
def test_groups_of_batch_norm_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="would show which views belong to one image"):
        configs.validate(configs.override(find_method(name).config(), ["run.batch_norm_group_replicas=2"]))
