"""The commands as a user runs them: the demo twice, evaluations and export of its run, and bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.training.conclusion import read_conclusion
from seer_tf.training.run_directory import RunDirectory

_TIMEOUT_SECONDS = 600


def _run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{command}", *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of coloured noise, and a file that is not an image."""
    root = tmp_path_factory.mktemp("images") / "with a space"
    generator = np.random.default_rng(0)
    for name, low, high in (("blue", (0, 0, 120), (90, 90, 255)), ("red", (120, 0, 0), (255, 90, 90))):
        (root / name).mkdir(parents=True)
        for number in range(40):
            Image.fromarray(generator.integers(low, high, [36, 44, 3]).astype(np.uint8)).save(
                root / name / f"{number}.jpg"
            )
    (root / "red" / "notes.txt").write_text("no image")
    return root


@pytest.fixture(scope="module")
def demo(images: Path) -> Path:
    """The output directory of a demo on `images`."""
    output = images.parent / "demo output"
    first = _run("demo", str(images), f"--output={output}", "--recipe=debug_tiny")
    assert first.returncode == 0, first.stderr
    assert f"tensorboard --logdir '{output}/run-" in first.stdout
    (images.parent / "first.log").write_text(first.stderr + first.stdout)
    return output


@pytest.mark.slow
def test_the_demo_writes_every_file_that_it_names(demo):
    """The demo writes its numbers, a report, and a SavedModel that loads."""
    results = json.loads((demo / "results.json").read_text())
    assert [row["features"] for row in results["accuracies"]][0] == "the pretrained network"
    assert results["accuracies"][2]["knn"] == 1.0  # histograms separate red from blue
    assert "Nearest neighbours" in (demo / "report.html").read_text("utf-8")
    (run,) = demo.glob("run-*")
    loaded = tf.saved_model.load(str(run / "export"))
    assert loaded.signatures["serve"](images=tf.zeros([2, 50, 60, 3], tf.uint8))["features"].shape == (2, 256)


@pytest.mark.slow
def test_the_demo_compares_with_pixels_once_and_from_all_test_images(demo, images):
    """The run keeps the sentence that the demo prints after its evaluation."""
    (run,) = demo.glob("run-*")
    conclusion = read_conclusion(RunDirectory(run))
    said = (images.parent / "first.log").read_text()
    assert said.count("simple pixels") == 1 and conclusion.replace("`", "") in said.split("3/4 evaluation")[1]


@pytest.mark.slow
def test_a_second_demo_uses_the_finished_run(demo, images):
    """The images and the recipe are the same, so no step runs again and the numbers stay the same."""
    before = (demo / "results.json").read_text()
    again = _run("demo", str(images), f"--output={demo}", "--recipe=debug_tiny")
    assert again.returncode == 0, again.stderr
    assert "finished by an earlier demo" in again.stdout
    assert len(list(demo.glob("run-*"))) == 1
    assert (demo / "results.json").read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("command", ["knn", "linear_probe"])
def test_an_evaluation_ends_in_one_json_object(demo, command):
    """A run and pixels are evaluated."""
    data = [f"--train_data=shards:{demo}/shards/train", f"--test_data=shards:{demo}/shards/test"]
    (run,) = demo.glob("run-*")
    for which in ([f"--run_dir={run}", "--untrained"], ["--pixels=histogram"]):
        ran = _run(command, *which, *data)
        assert ran.returncode == 0, ran.stderr
        result = json.loads(ran.stdout.splitlines()[-1])
        assert (result["evaluation"], result["num_train_images"], result["num_test_images"]) == (command, 64, 16)
    assert result["top1"] == (1.0 if command == "linear_probe" else {"histogram": {"10": 1.0, "20": 1.0}})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        (
            "knn",
            ["--run_dir={images}", "--train_data={labelled}", "--test_data={labelled}"],
            "is no network",
        ),
        ("knn", ["--train_data={labelled}", "--test_data={labelled}"], "give either --model"),
        ("knn", ["--pixels=thumbnail", "--train_data={labelled}", "--test_data={bare}"], "the test data has no labels"),
        ("linear_probe", ["--pixels=hue", "--train_data={labelled}", "--test_data={labelled}"], "there is no kind"),
        ("export", ["--model={run}", "--output={images}"], "exists already"),
        ("demo", ["--output={images}"], "not of a demo"),
        ("demo", ["{images}/nowhere", "--output={images}/new"], "nowhere"),
    ],
)
def test_bad_input_gets_one_sentence(demo, images, command, arguments, sentence):
    """A command with bad input exits with status 2 and writes nothing."""
    (run,) = demo.glob("run-*")
    names = {"images": images, "run": run, "labelled": f"folder:{images}", "bare": f"folder:{images}/red"}
    ran = _run(command, *(argument.format(**names) for argument in arguments))
    assert ran.returncode == 2
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert sentence in error
    assert "Traceback" not in ran.stderr
    assert sorted(path.name for path in images.iterdir()) == ["blue", "red"]
