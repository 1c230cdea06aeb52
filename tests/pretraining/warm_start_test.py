"""A new run starts from another run, from a checkpoint, or from a converted model, except for reset parts."""

import json
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import pytest

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.methods.swav.state import TrainState
from seer_tf.models.backbones.regnet import published
from seer_tf.models.heads.swav_head import SwavHead
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.warm_start import initialize
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.run_directory import RunDirectory
from tests.small_networks import small_model, two_stage_model


def state_of(*settings: str) -> TrainState:
    config = configs.override(recipe("debug_tiny"), ["swav.queue_length=16", *settings])
    return TrainState(config, model=two_stage_model(config))


def values(state: TrainState) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.named_variables().items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, dict[str, np.ndarray]]:
    """A run at step 3, and the values of its variables. All variables differ from those of a new run."""
    directory, state = RunDirectory(tmp_path_factory.mktemp("run")), state_of()
    directory.claim(state.config)
    random = np.random.default_rng(0)
    for variable in state.named_variables().values():
        variable.assign(random.uniform(1, 2, variable.shape) if variable.dtype.is_floating else 3)
    checkpoints = Checkpoints(directory, state)
    checkpoints.save()
    checkpoints.wait()
    return directory, values(state)


def is_of_head(name: str) -> bool:
    return name.startswith(("model/head/", "lars/velocity/head/", "queue/")) and not is_of_prototypes(name)


def is_of_prototypes(name: str) -> bool:
    return name.endswith("head/prototypes")


def is_of_optimizer(name: str) -> bool:
    return name.startswith(("lars/velocity/", "loss_scale/", "skipped_steps/"))


def is_of_schedule(name: str) -> bool:
    return name in ("lars/iterations", "step") or name.startswith("schedule/")


@pytest.mark.parametrize(
    ("reset", "is_new"),
    [
        ("", lambda name: False),
        ("head", is_of_head),
        ("prototypes", is_of_prototypes),
        ("optimizer", is_of_optimizer),
        ("schedule", is_of_schedule),
        ("queue", lambda name: name.startswith("queue/")),
        ("head,schedule", lambda name: is_of_head(name) or is_of_schedule(name)),
    ],
)
def test_parts_that_are_not_reset_come_from_the_run(
    run: tuple[RunDirectory, dict[str, np.ndarray]], reset: str, is_new: Callable[[str], bool]
) -> None:
    directory, saved = run
    state = state_of(f"run.init_from={directory.path}", f"run.reset={reset}")
    fresh = values(state)
    initialize(state)
    for name, value in values(state).items():
        np.testing.assert_array_equal(value, fresh[name] if is_new(name) else saved[name], err_msg=name)


def test_a_run_starts_from_an_earlier_checkpoint(run: tuple[RunDirectory, dict[str, np.ndarray]]) -> None:
    directory, saved = run
    state = state_of(f"run.init_from={directory.checkpoint(3)}", "run.precision=float64")
    initialize(state)
    for name, value in values(state).items():
        np.testing.assert_array_equal(value, saved[name], err_msg=name)


def test_a_run_of_a_newer_version_is_refused(
    run: tuple[RunDirectory, dict[str, np.ndarray]], tmp_path: pathlib.Path
) -> None:
    shutil.copytree(run[0].path, tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    values = json.loads(file.read_text()) | {"versions": {"seer_tf": "9.10.0"}}
    del values["checksum"]
    file.write_text(json.dumps(values))
    with pytest.raises(InputError, match="was made by seer_tf 9.10.0, which is newer than this"):
        initialize(state_of(f"run.init_from={tmp_path / 'run'}"))


def test_a_changed_head_is_named_and_can_be_reset(run: tuple[RunDirectory, dict[str, np.ndarray]]) -> None:
    settings = f"run.init_from={run[0].path}", "head.num_prototypes=5"
    with pytest.raises(InputError, match=r"head/prototypes has shape \(8, 16\) there and \(5, 16\) here.*`run.reset`"):
        initialize(state_of(*settings))
    initialize(state_of(*settings, "run.reset=prototypes"))


def test_a_queue_of_another_length_starts_empty_if_reset(
    run: tuple[RunDirectory, dict[str, np.ndarray]],
) -> None:
    settings = f"run.init_from={run[0].path}", "swav.queue_length=32"
    with pytest.raises(InputError, match=r"queue/embeddings has shape .*in `run.reset` \(.*queue"):
        initialize(state_of(*settings))
    state = state_of(*settings, "run.reset=queue")
    initialize(state)
    assert state.queue is not None and state.queue.num_pushed == 0
    np.testing.assert_array_equal(state.model.head.prototypes, run[1]["model/head/prototypes"])


def test_a_finished_run_gets_an_error_that_says_what_to_do(run: tuple[RunDirectory, dict[str, np.ndarray]]) -> None:
    with pytest.raises(InputError, match="has already made 3 steps: add `run.reset=schedule`"):
        initialize(state_of(f"run.init_from={run[0].path}", "run.num_steps=3", "schedule.warmup_steps=0"))


@pytest.mark.parametrize("place", ["nowhere", "a.keras", "checkpoints/step-9"])
def test_a_file_without_a_model_gets_one_sentence(tmp_path: pathlib.Path, place: str) -> None:
    (tmp_path / "a.keras").write_text("no model")
    with pytest.raises(InputError, match=f"`run.init_from=.*{place}`: .*(there is no|cannot be read as a Keras)"):
        initialize(state_of(f"run.init_from={tmp_path / place}"))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
    """A directory as convert_checkpoint.py writes it, and the values of its variables."""
    directory, state = tmp_path_factory.mktemp("converted"), state_of("run.seed=5")
    model = state.model
    model.backbone.save(directory / "model.keras")
    config = recipe("debug_tiny").head
    head = SwavHead(config.hidden_dims, config.embedding_dim, config.num_prototypes)
    features = keras.Input(model.backbone.compute_output_shape((None, 8, 8, 3))[-1:])
    whole = keras.Model(features, head(features), name="swav_head")
    for new, old in zip(head.variables, model.head.variables, strict=True):
        new.assign(old)
    whole.save(directory / "swav_head.keras")
    return directory, values(state)


def test_backbone_and_head_come_from_a_converted_model(converted: tuple[pathlib.Path, dict[str, np.ndarray]]) -> None:
    directory, saved = converted
    for source, reset, comes in (
        (directory, "", lambda name: name.startswith("model/")),
        (directory, "prototypes", lambda name: name.startswith("model/") and not is_of_prototypes(name)),
        (directory / "model.keras", "head,prototypes", lambda name: name.startswith("model/") and "head/" not in name),
    ):
        state = state_of(f"run.init_from={source}", f"run.reset={reset}")
        fresh = values(state)
        initialize(state)
        for name, value in values(state).items():
            np.testing.assert_array_equal(value, (saved if comes(name) else fresh)[name], err_msg=name)


def test_seers_licence_goes_into_every_checkpoint(
    converted: tuple[pathlib.Path, dict[str, np.ndarray]], tmp_path: pathlib.Path
) -> None:
    """The licence passes from a conversion to a run, to a second run, and by a checkpoint to a third run.

    The third run continues and keeps the licence.
    """
    shutil.copytree(converted[0], tmp_path / "of_an_earlier_version")
    (tmp_path / "of_an_earlier_version" / "metadata.json").write_text(json.dumps({"licence": published.LICENCE}))
    shutil.copytree(converted[0], tmp_path / "converted")
    backbone = keras.saving.load_model(tmp_path / "converted" / "model.keras", compile=False)
    backbone.licence = published.LICENCE
    backbone.save(tmp_path / "converted" / "model.keras")
    sources = {
        "of_an_earlier_version": "nought",
        "converted": "one",
        "one": "two",
        "two/checkpoints/step-0": "three",
    }
    for source, run in sources.items():
        state = state_of(f"run.init_from={tmp_path / source}")
        initialize(state)
        directory = RunDirectory(tmp_path / run)
        directory.claim(state.config)
        checkpoints = Checkpoints(directory, state)
        checkpoints.save()
        checkpoints.wait()
        assert (tmp_path / run / "SEER_LICENCE.txt").read_text("utf-8") == published.LICENCE_NOTICE
    continued = state_of()
    Checkpoints(RunDirectory(tmp_path / "three"), continued).restore_latest()
    assert continued.model.licence == published.LICENCE


def test_a_converted_model_of_another_network_is_refused(
    converted: tuple[pathlib.Path, dict[str, np.ndarray]],
) -> None:
    config = configs.override(recipe("debug_tiny"), [f"run.init_from={converted[0]}"])
    with pytest.raises(InputError, match="the file has no bn/beta, so it holds another network"):
        initialize(TrainState(config, model=small_model(config, batch_norm=True)))
