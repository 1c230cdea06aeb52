"""Fine-tuning as a user runs it: a killed run continues, other commands use the classifier, bad input is refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seer_tf.evaluation.published_results import FINE_TUNING
from seer_tf.files import jsonl
from seer_tf.models import RegNetY

_TIMEOUT_SECONDS = 600
_SHORT = ("--recipe=finetune_small", "--set=data.global_batch_size=12", "--set=run.checkpoint_every_steps=5")


def _command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"experiments.{name}", *arguments]


def _run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(name, *arguments), capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone, and training and test images in two colours."""
    place, random = tmp_path_factory.mktemp("fine-tuning"), np.random.default_rng(0)
    for split, number in (("train", 30), ("test", 10)):
        for name, low, high in (("blue", (0, 0, 120), (90, 90, 255)), ("red", (120, 0, 0), (255, 90, 90))):
            (place / split / name).mkdir(parents=True)
            for index in range(number):
                pixels = random.integers(low, high, (36, 32, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / split / name / f"{index}.png")
    RegNetY("90MF", stem_stride=1).save(place / "backbone.keras")
    return place


def _data(place: Path) -> list[str]:
    return [
        f"--model={place / 'backbone.keras'}",
        f"--train_data=folder:{place / 'train'}",
        f"--test_data=folder:{place / 'test'}",
    ]


@pytest.mark.slow
def test_a_killed_run_continues_and_learns_and_its_classifier_serves(place: Path) -> None:
    """The colours are easy to learn. The test checks that every command takes the files of the command before."""
    run = place / "run"
    arguments = [*_SHORT, *_data(place), f"--run_dir={run}", "--set=schedule.num_epochs=12", "--fraction=0.8"]
    process = subprocess.Popen(_command("finetune", *arguments), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not list((run / "checkpoints").glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    ran = _run("finetune", *arguments)
    assert ran.returncode == 0, ran.stderr
    (found,) = jsonl.read_complete(run / "evaluations.jsonl")
    assert found["protocol"].endswith(" at 32 px; shorter side to 32 px (bilinear), central 32 px")
    assert found["evaluation"] == FINE_TUNING
    assert found == json.loads(ran.stdout.splitlines()[-1])
    assert (found["value"], found["num_train_images"], found["steps"]) == (1.0, 48, 48)

    robust = _run("robustness", f"--model={run / 'classifier.keras'}", f"--test_data=folder:{place / 'test'}")
    assert robust.returncode == 0 and json.loads(robust.stdout.splitlines()[-1])["value"] == 1.0, robust.stderr
    exported = _run(
        "export",
        *(f"--model={run}", "--part=classifier", f"--images=folder:{place / 'test'}", f"--output={place / 'model'}"),
    )
    assert exported.returncode == 0, exported.stderr
    assert "blue" in (place / "model" / "metadata.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fraction=2"], "data.fraction=2.0 must be above 0 and at most 1"),
        (["--subset_list={place}/nothing.txt"], "nothing.txt is not a file"),
        (["--test_data=folder:{place}/train"], "train, so the accuracy would say nothing about new images"),
        (["--test_data=folder:{place}/test/red"], "the test data has no labels"),
        (["--recipe=low_shot_imagenet_10", "--fraction=1"], "has no projection head with a hidden layer"),
        (["--set=transform.size_px=64"], "transform.resize_px=32 is less than transform.size_px=64"),
        (["--set=optimizer.layer_decay=2"], "optimizer.layer_decay=2.0 must be from 0 to 1"),
        (["--model={place}/train"], "train"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(place: Path, arguments: list[str], sentence: str) -> None:
    run = place / "refused"
    filled = [argument.format(place=place) for argument in arguments]
    ran = _run("finetune", *_SHORT, *_data(place), f"--run_dir={run}", *filled)
    assert ran.returncode == 2, ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert sentence in error and "Traceback" not in ran.stderr
    assert not run.exists() or not any(run.iterdir())
