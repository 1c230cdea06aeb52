"""Export, clusters and detection as a user runs them: the written files, and bad input."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf import config as configs
from seer_tf.evaluation.result import EvaluationResult, add_to_file
from seer_tf.methods.swav.state import TrainState
from seer_tf.models import RegNetY
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.checkpoints import Checkpoints
from seer_tf.training.run_directory import RunDirectory
from seer_tf.versions import versions


def _run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{command}", *arguments], capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run, a backbone file, images, and a set with boxes.

    Two splits of the set with boxes have different classes.
    """
    place = tmp_path_factory.mktemp("downstream")
    directory, config = RunDirectory(place / "run"), recipe("debug_tiny")
    directory.claim(config)
    checkpoints = Checkpoints(directory, TrainState(config))
    checkpoints.save()
    checkpoints.wait()
    shutil.copytree(place / "run", place / "gone")
    gone = configs.override(config, ["data.source=folder:/gone"])
    (place / "gone" / "config.json").write_text(json.dumps({"config": configs.to_json(gone), "versions": versions()}))
    RegNetY("90MF").save(place / "backbone.keras")
    generator = np.random.default_rng(0)
    (place / "boxes" / "annotations").mkdir(parents=True)
    for split, names in (("train", ["cat", "dog"]), ("test", ["cat", "dog"]), ("other", ["cat", "cow"])):
        (place / "boxes" / split).mkdir()
        images, annotations = [], []
        for number in range(4):
            pixels = generator.integers(0, 256, [60, 80, 3]).astype(np.uint8)
            Image.fromarray(pixels).save(place / "boxes" / split / f"{number}.jpg")
            images.append({"id": number, "file_name": f"{number}.jpg", "width": 80, "height": 60})
            box = [10, 10, 0 if (split, number) == ("train", 3) else 30, 25]
            annotations.append({"image_id": number, "category_id": number % 2, "bbox": box})
        categories = [{"id": label, "name": name} for label, name in enumerate(names)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (place / "boxes" / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return place


@pytest.mark.slow
def test_an_export_prints_its_largest_difference_and_keeps_evaluation_results(place):
    """The export finds the results beside the run without a flag. A file that holds no results gets one sentence."""
    model = f"--model={place}/run"
    found = EvaluationResult(
        "knn", "k = 20", "top-1", 0.5, (0.4, 0.6), f"{place}/run", "folder:A", "folder:B", 90, 30, 3, 0, {"k": 20}
    )
    add_to_file(found, place / "run" / "evaluations.jsonl")
    add_to_file(dataclasses.replace(found, digest="of another step"), place / "run" / "evaluations.jsonl")
    ran = _run("export", model, f"--output={place}/model", f"--images=folder:{place}/boxes", "--licence=CC0-1.0")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"largest difference in a fresh process \S+ of the largest value \(1e-05 allowed\)", ran.stdout)
    metadata = json.loads((place / "model" / "metadata.json").read_text("utf-8"))
    assert metadata["licence"] == "CC0-1.0" and [found["details"] for found in metadata["metrics"]] == [{"k": 20}]
    readme = (place / "model" / "README.md").read_text("utf-8")
    assert f"| knn | k = 20 | top-1 | 50.00 | 40.00 to 60.00 | {place}/run | folder:A | folder:B |" in readme
    ran = _run("export", model, f"--output={place}/other", f"--metrics={place}/run/config.json")
    assert (
        ran.returncode == 2 and "is not a file of evaluation results" in ran.stderr and not (place / "other").exists()
    )


@pytest.mark.slow
def test_clusters_leave_a_table_and_a_page(place):
    """The table has one row for each image."""
    ran = _run(
        "browse_clusters",
        f"--model={place}/run",
        f"--data=folder:{place}/boxes",
        f"--output={place}/clusters",
    )
    assert ran.returncode == 0, ran.stderr
    assert pyarrow.parquet.read_table(place / "clusters" / "clusters.parquet").num_rows == 12
    assert "<article" in (place / "clusters" / "clusters.html").read_text("utf-8")


@pytest.mark.slow
def test_a_map_leaves_a_page_and_files_for_tensorboard(place):
    """The map shows two stages and a part of the images."""
    arguments = (f"--model={place}/run", f"--data=folder:{place}/boxes", f"--output={place}/map", "--max_images=9")
    ran = _run("embed", *arguments, "--stages=avgpool,res3")
    assert ran.returncode == 0, ran.stderr
    files = {file.name for file in (place / "map").iterdir()}
    assert files == {"map.html", "avgpool.tsv", "res3.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt"}
    assert (place / "map" / "map.html").read_text("utf-8").count("<img") == 9
    assert (place / "map" / "metadata.tsv").read_text("utf-8").count("\ttrain\n") > 0
    assert np.loadtxt(place / "map" / "res3.tsv").shape[0] == 9
    ran = _run("embed", *arguments)
    assert ran.returncode == 2 and "map exists already" in ran.stderr


@pytest.mark.slow
def test_a_detector_leaves_a_saved_model_and_a_sheet(place):
    """The log names boxes without area, and the last line of the output is one JSON object."""
    ran = _run(
        "finetune_detector",
        f"--model={place}/run",
        f"--boxes={place}/boxes",
        f"--output={place}/detector",
        "--size_px=128",
        "--num_steps=2",
        "--batch_size=2",
        "--num_head_layers=1",
    )
    assert ran.returncode == 0, ran.stderr
    assert "left out, 1 box without area: 3.jpg: dog from 10, 10 to 10, 35" in ran.stderr
    result = json.loads(ran.stdout.splitlines()[-1])
    assert result["evaluation"] == "detection" and set(result["ap50"]) == {"cat", "dog"}
    loaded = tf.saved_model.load(str(place / "detector"))
    assert loaded.signatures["serve"](images=np.zeros([1, 50, 90, 3], np.uint8))["boxes"].shape == (1, 100, 4)
    assert "<svg" in (place / "detector" / "predictions.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("export", ["--model={run}", "--part=classifier"], "this network has no classifier"),
        ("export", ["--model={backbone}", "--part=prototypes"], "this network has no prototypes"),
        ("export", ["--model={run}", "--formats=tflite"], "there is no format 'tflite'"),
        ("export", ["--model={place}"], "is no network"),
        ("export", ["--model={gone}"], "or name other images for the comparison by --images"),
        ("export", ["--model={backbone}", "--formats=litert_int8"], "name such images by --images"),
        ("browse_clusters", ["--model={backbone}", "--data=folder:{place}"], "this network has no prototypes"),
        (
            "finetune_detector",
            ["--model={run}", "--boxes={boxes}", "--test_split=other"],
            "the training split lacks: cow",
        ),
        (
            "finetune_detector",
            ["--model={run}", "--boxes={boxes}", "--test_split=train"],
            "both train; give two different splits",
        ),
        ("finetune_detector", ["--model={run}", "--boxes={boxes}", "--test_split=val"], "has no split 'val'"),
        ("finetune_detector", ["--model={run}", "--boxes={boxes}", "--size_px=200"], "multiple of 128 px"),
        ("finetune_detector", ["--model={place}", "--boxes={boxes}"], "is no network"),
        ("finetune_detector", ["--model={run}", "--boxes={boxes}/nowhere"], "nowhere is not there; give a directory"),
        ("finetune_detector", ["--model={run}", "--boxes={backbone}"], "backbone.keras is a file; give a directory"),
        ("browse_clusters", ["--model={place}", "--data=folder:{place}"], "is no network"),
        ("export", ["--model={run}", "--part=heads"], "did you mean 'head'?"),
    ],
)
def test_bad_input_gets_one_sentence(place, command, arguments, sentence):
    """A command with bad input exits with status 2 and writes nothing."""
    names = {
        "place": place,
        "run": place / "run",
        "gone": place / "gone",
        "backbone": place / "backbone.keras",
        "boxes": place / "boxes",
    }
    output = place / "never"
    ran = _run(command, *(argument.format(**names) for argument in arguments), f"--output={output}")
    assert ran.returncode == 2, ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert sentence in error and "Traceback" not in ran.stderr
    assert not output.exists() and not list(place.glob(".never*"))
