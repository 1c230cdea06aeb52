"""The recipe `auto` as a user runs it, with the user's own colours."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.distributed.strategy import place
from seer_tf.pretraining.auto import derivation, speed_trial
from seer_tf.pretraining.recipes import recipe


@pytest.mark.slow
def test_colours_from_the_user_are_measured_once(tmp_path: Path) -> None:
    """There is no other choice, but a warning still says that crops have too little in common."""
    colours = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2, "grayscale_probability": 0.2}
    command = [
        *(sys.executable, "-m", "experiments.pretrain", "--recipe=auto", "--data=builtin", "--show_config"),
        *(f"--run_dir={tmp_path / 'run'}", "--set=run.num_steps=20"),
        *(f"--set=crops.{name}={value}" for name, value in colours.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("% with crops.brightness=0.8 and crops.hue=0.2") == done.stdout.count("% with crops.") == 1
    assert "warning: even with the weakest distortion of colours that was tried" in done.stdout
    assert re.search("crops.hue=0.2 +as you set it", done.stdout)
    assert not (tmp_path / "run").exists()


def test_the_images_come_from_the_field_data_source(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "experiments.pretrain", "--recipe=auto", "--show_config", "--set=run.num_steps=20"),
        *(f"--run_dir={tmp_path / 'run'}", f"--set=data.source=folder:{tmp_path / 'nowhere'}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert f"{tmp_path / 'nowhere'}" in done.stderr


def test_a_speed_trial_starts_with_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that the config starts from may have more steps than the speed trial."""
    config = configs.override(recipe("debug_tiny"), ["run.init_from=RUN", "run.reset=head,optimizer"])

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        settings = [argument.removeprefix("--set=") for argument in command if argument.startswith("--set=")]
        tried = configs.override(recipe("debug_tiny"), settings)
        assert (tried.run.init_from, tried.run.reset) == ("", ())
        (log,) = (argument.partition("=")[2] for argument in command if argument.startswith("--log_json="))
        Path(log).write_text('{"system/images_per_second": 3.0}\n' * 4)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(speed_trial.subprocess, "run", run)
    assert speed_trial.images_per_second(config, "auto", 1) == 3.0


def test_the_accuracy_of_colour_chooses_the_distortion_of_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derivation, "view_correlation", lambda config, source: 0.2)
    for share, hue in ((0.5, 0.02), (0.1, 0.2)):
        said: list[str] = []
        placement, colour = place("auto", None, None, num_gpus=0), (share, "colour: so")
        derive = derivation.Derivation(placement, "auto", 1.0, 8.0, said.append, itertools.repeat(colour).__next__)
        config = derive.config(Selection(open_source("builtin"), range(64)), {"run.num_steps": 20})
        assert config.crops.hue == hue
        assert said[1] == "colour: so"
        assert said[2].startswith("view correlation: ")
        assert config.run.on_trouble == "recover"


def test_a_given_network_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network leaves too few steps, but there is no smaller one to try."""
    timed: list[str] = []

    def speed(config: PretrainingConfig, strategy: str, num_devices: int) -> float:
        timed.append(config.backbone.variant)
        return 2.0

    monkeypatch.setattr(derivation, "images_per_second", speed)
    monkeypatch.setattr(derivation, "view_correlation", lambda config, source: 0.2)
    placement, said = place("auto", None, None, num_gpus=0), list[str]()
    derive = derivation.Derivation(placement, "auto", 45.0, 8.0, said.append, clock=lambda: 0.0)
    config = derive.config(Selection(open_source("builtin"), range(64)), {"backbone.variant": "resnet50"})
    assert timed == ["resnet50"]
    assert config.run.num_steps == 45 * 60 * 2 // config.data.global_batch_size
    assert any(line.startswith("warning: `minutes=45` allows") for line in said)
