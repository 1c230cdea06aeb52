"""The recipe `auto` from a network that has learned already: what it takes from the network, and what it chooses."""

from pathlib import Path

import pytest

from seer_tf import config as configs
from seer_tf.config import PARTS_TO_RESET, Config
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.distributed.strategy import place
from seer_tf.errors import InputError
from seer_tf.models import RegNetY
from seer_tf.pretraining.auto import derivation
from seer_tf.pretraining.auto.starting_network import starting_choices
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of RegNetY-190MF that normalises images in its own way; it has no checkpoint."""
    settings = ("backbone.variant=190MF", "crops.mean=0.5,0.5,0.5", "crops.std=0.25,0.25,0.25")
    RunDirectory(tmp_path / "run").claim(configs.override(recipe("debug_tiny"), settings))
    return tmp_path / "run"


def test_a_run_gives_its_network_and_its_normalisation(run: Path) -> None:
    (run / "checkpoints" / "step-5").mkdir(parents=True)
    for place_of in (run, run / "checkpoints" / "step-5"):
        found = {choice.field: choice.value for choice in starting_choices({"run.init_from": str(place_of)})}
        assert found == {
            "run.reset": PARTS_TO_RESET,
            "backbone.variant": "190MF",
            "crops.mean": (0.5, 0.5, 0.5),
            "crops.std": (0.25, 0.25, 0.25),
        }


def test_a_file_gives_its_network(tmp_path: Path) -> None:
    RegNetY("90MF").save(tmp_path / "model.keras")
    for place_of in (tmp_path, tmp_path / "model.keras"):
        choices = starting_choices({"run.init_from": str(place_of), "run.reset": ("head",)})
        assert [(choice.field, choice.value) for choice in choices] == [("backbone.variant", "90MF")]


def test_nothing_to_start_from_decides_nothing() -> None:
    assert starting_choices({}) == starting_choices({"run.init_from": ""}) == ()


def test_another_network_beside_the_one_to_start_from_is_refused(run: Path) -> None:
    own = {"run.init_from": str(run), "backbone.variant": "90MF"}
    with pytest.raises(InputError, match=r"variant=90MF, but `run.init_from=.*run` holds 190MF; leave out one"):
        starting_choices(own)
    assert starting_choices({**own, "backbone.variant": "190MF"})


def test_a_place_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`run.init_from=.*`: this is neither a run nor"):
        starting_choices({"run.init_from": str(tmp_path)})


def test_the_config_keeps_the_network_and_its_normalisation(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivation, "view_correlation", lambda config, source: 0.2)
    images, said = Selection(open_source("builtin"), range(64)), list[str]()
    derive = derivation.Derivation(place("auto", None, None, num_gpus=0), "auto", 1.0, 8.0, said.append)
    fresh = derive.config(images, {"run.num_steps": 20})
    warm = derive.config(images, {"run.num_steps": 20, "run.init_from": str(run)})
    assert (fresh.backbone.variant, warm.backbone.variant) == ("90MF", "190MF")
    assert warm.crops.mean == (0.5, 0.5, 0.5) and warm.run.reset == PARTS_TO_RESET
    assert isinstance(fresh, Config) and isinstance(warm, Config)
    assert warm.schedule == fresh.schedule  # a lower rate was worse (docs/lab/results.md)
    assert any("backbone.variant=190MF" in line and "as the network in run.init_from" in line for line in said)
