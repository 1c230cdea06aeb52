"""The evaluations as a user runs them: features are extracted once, all protocols use them, bad input is refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seer_tf.evaluation.features.store import open_features
from seer_tf.evaluation.result import read_file
from seer_tf.models import RegNetY

_TIMEOUT_SECONDS = 300
_COLORS = {"blue": (0, 0, 120), "green": (0, 120, 0), "red": (120, 0, 0)}


def _command(command: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"experiments.{command}", *arguments]


def _run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(command, *arguments), capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with training and test images in three classes of coloured noise, and histogram features of both."""
    root = tmp_path_factory.mktemp("evaluations") / "with a space"
    generator = np.random.default_rng(0)
    for part, num_images in (("train", 20), ("test", 8)):
        for name, low in _COLORS.items():
            (root / part / name).mkdir(parents=True)
            for number in range(num_images):
                pixels = generator.integers(low, np.array(low) + 90, [36, 44, 3]).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    (root / "file").write_text("")
    RegNetY("90MF", stem_stride=1).save(root / "network.keras")
    for name in _COLORS:
        (root / "damaged" / name).mkdir(parents=True)
        for number in range(2):
            beginning = (root / "test" / name / f"{number}.png").read_bytes()[:2000]
            (root / "damaged" / name / f"{number}.png").write_bytes(beginning)
    for part, file_format in (("train", "tfrecord"), ("test", "npy")):
        arguments = [f"--data=folder:{root / part}", f"--output={root / part}.features", f"--format={file_format}"]
        ran = _run("extract_features", "--pixels=histogram", *arguments)
        assert ran.returncode == 0, ran.stderr
    return root


@pytest.mark.slow
def test_every_protocol_on_stored_features_and_all_on_one_page(root):
    """Each command ends with a table row and a JSON line. Histograms separate the classes."""
    data = [f"--train_data=features:{root}/train.features", f"--test_data=features:{root}/test.features"]
    results, page, sheet = (root / name for name in ("evaluations.jsonl", "page.html", "sheet.html"))
    for command, *more in (
        ("knn",),
        ("linear_probe",),
        ("linear_probe", "--recipe=optimum"),
        ("linear_svm",),
        ("retrieval", f"--sheet={sheet}"),
    ):
        ran = _run(command, *data, *more, f"--results={results}")
        assert ran.returncode == 0, ran.stderr
        row, line = ran.stdout.splitlines()[-2:]
        outcome = json.loads(line)
        assert row.startswith(f"| {command} |") and (outcome["num_train_images"], outcome["num_test_images"]) == (
            60,
            24,
        )
        assert outcome["value"] > 0.95 and outcome["interval"][0] <= outcome["value"] <= outcome["interval"][1]
    assert [outcome.evaluation for outcome in read_file(results)][-2:] == ["linear_svm", "retrieval"]
    ran = _run("report", str(results), f"--output={page}")
    assert ran.returncode == 0, ran.stderr
    assert "linear SVM on folder:" in page.read_text("utf-8")
    assert sheet.read_text("utf-8").count('class="right') > 100


@pytest.mark.slow
def test_copy_detection_scores_names_of_copydays_and_lists_copies_for_any_names(root, tmp_path):
    """The copies are slightly smaller than their originals.

    The test fails if distractors are listed as copies or counted as originals.
    """
    for number, original in enumerate(sorted((root / "test").rglob("*.png"))[::3]):
        for part, name, size in (("original", 200_000, (44, 36)), ("copies", 200_001, (42, 34))):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.open(original).resize(size).save(tmp_path / part / f"{name + 100 * number}.png")
    shared = [
        f"--model={root}/network.keras",
        f"--train_data={tmp_path}/original",
        "--stage=res3",
        "--longer_side_px=44",
    ]
    table, results = tmp_path / "copies.tsv", tmp_path / "results.jsonl"
    more = [f"--distractors={root}/train/red", f"--whitening_data={root}/train/blue", "--num_components=16"]
    ran = _run("copy_detection", *shared, *more, f"--test_data={tmp_path}/copies", f"--results={results}")
    assert ran.returncode == 0, ran.stderr
    (outcome,) = read_file(results)
    assert (outcome.evaluation, outcome.metric, outcome.num_test_images, outcome.num_classes) == (
        "copy_detection",
        "mAP",
        8,
        8,
    )
    assert outcome.details["has_distractors"] and outcome.details["is_whitened"] and 0 < outcome.value <= 1
    ran = _run("copy_detection", *shared, f"--test_data={root}/test/red", f"--output={table}", "--threshold=-1")
    assert ran.returncode == 0, ran.stderr
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    assert rows[0] == ["image", "nearest", "similarity"] and len(rows) == 1 + 8
    assert all(float(similarity) <= 1.0001 for *_, similarity in rows[1:])
    ran = _run("copy_detection", *shared, f"--test_data={root}/test/red")
    assert ran.returncode == 2 and "give --output for the table of likely copies" in ran.stderr


@pytest.mark.slow
def test_images_with_several_labels_of_which_some_are_unknown(root, tmp_path):
    """The label "blue" is unknown for green images."""
    for part, num_images in (("train", 20), ("test", 8)):
        lines = ["file,present,absent"]
        for name, labels in (("blue", "blue;any,red"), ("red", "red;any,blue"), ("green", "any,red")):
            lines += [f"{root / part / name / str(number)}.png,{labels}" for number in range(num_images)]
        (tmp_path / f"{part}.csv").write_text("\n".join(lines))
    data = [f"--train_data=csv:{tmp_path}/train.csv", f"--test_data=csv:{tmp_path}/test.csv"]
    ran = _run("linear_probe", "--pixels=histogram", "--recipe=vissl_openimages", *data)
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout.splitlines()[-1])
    assert (outcome["metric"], outcome["num_classes"], outcome["recipe"]) == ("mAP", 3, "vissl_openimages")
    assert 0.5 < outcome["value"] <= 1.0  # the probe makes only a few steps at a small rate


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("knn", ["--train_data=features:{root}/train", "--test_data=features:{root}/test"], "holds no features"),
        (
            "knn",
            ["--pixels=histogram", "--train_data=features:{root}/train.features", "--test_data=folder:{root}/test"],
            "give features:DIR for both training and test data, or for neither",
        ),
        (
            "linear_probe",
            [
                "--recipe=vissl_imagenet",
                "--train_data=features:{root}/train.features",
                "--test_data=folder:{root}/test",
            ],
            "changes the images in each epoch",
        ),
        (
            "knn",
            ["--pixels=thumbnail", "--train_data=folder:{root}/train", "--test_data=folder:{root}/train"],
            "--train_data and --test_data are both folder:{root}/train",
        ),
        (
            "knn",
            ["--pixels=thumbnail", "--train_data=folder:{root}/train", "--test_data={root}/train/red/.."],
            "--train_data and --test_data are both folder:{root}/train",
        ),
        (
            "retrieval",
            ["--pixels=histogram", "--train_data=folder:{root}/test/red"],
            "nothing to measure; give --sheet",
        ),
        (
            "extract_features",
            ["--pixels=histogram", "--data=folder:{root}/test", "--output={root}/test"],
            "are not features",
        ),
        ("robustness", ["--model={root}", "--test_data=builtin:test", "--results={root}/no/r"], "no is no directory"),
        ("report", ["{root}/results", "--output={root}/no/page.html"], "no is no directory"),
        ("browse_clusters", ["--model={root}", "--data=builtin", "--output={root}/file/x"], "file is a file"),
        ("extract_features", ["--model={root}", "--data=builtin", "--output={root}/file/x"], "file is a file"),
        ("report", [], "name the runs"),
        ("report", ["{root}/train"], "does not exist"),
        ("robustness", ["--model={root}", "--test_data=folder:{root}/test"], "is no network"),
    ],
)
def test_bad_input_gets_one_sentence(root, command, arguments, sentence):
    """A command with bad input exits with status 2."""
    ran = _run(command, *(argument.format(root=root) for argument in arguments))
    assert ran.returncode == 2, ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert sentence.format(root=root) in error and "Traceback" not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("knn", ["--run_dir={root}/nowhere", "--train_data={root}/mixed", "--test_data={root}/test"]),
        ("linear_svm", ["--model={root}/nowhere", "--train_data={root}/mixed", "--test_data={root}/test"]),
        ("linear_probe", ["--model={root}/nowhere", "--train_data={root}/mixed", "--test_data={root}/test"]),
        (
            "linear_probe",
            [
                "--recipe=vissl_imagenet",
                "--model={root}/nowhere",
                "--train_data={root}/mixed",
                "--test_data={root}/test",
            ],
        ),
        ("retrieval", ["--model={root}/nowhere", "--train_data={root}/mixed"]),
        ("extract_features", ["--model={root}/nowhere", "--data={root}/mixed", "--output={root}/never"]),
        ("browse_clusters", ["--model={root}/nowhere", "--data={root}/mixed", "--output={root}/never"]),
        ("robustness", ["--model={root}/nowhere", "--test_data={root}/mixed"]),
        ("export", ["--model={root}/nowhere", "--images={root}/mixed", "--output={root}/never"]),
        (
            "finetune",
            [
                *("--recipe=finetune_small", "--model={root}/nowhere", "--run_dir={root}/never"),
                *("--train_data={root}/mixed", "--test_data={root}/test"),
            ],
        ),
        (
            "pretrain",
            ["--recipe=debug_tiny", "--init_from={root}/nowhere", "--run_dir={root}/never", "--data={root}/mixed"],
        ),
        (
            "pretrain",
            ["--recipe=auto", "--init_from={root}/nowhere", "--run_dir={root}/never", "--data={root}/mixed"],
        ),
        ("pretrain", ["--recipe=debug_tiny", "--run_dir={root}/never", "--data={root}/mixed", "--probe_data=nowhere"]),
        ("knn", ["--pixels=histogram", "--train_data={root}/mixed", "--test_data={root}/nowhere"]),
        ("prepare_shards", ["--data={root}/mixed", "--output={root}/file/nowhere"]),
    ],
)
def test_what_is_missing_is_named_before_any_data_are_looked_into(root, command, arguments):
    """The folder also holds a file that is not an image. The test fails if the log names that file first."""
    (root / "mixed").mkdir(exist_ok=True)
    for name in ("a.png", "b.txt"):
        (root / "mixed" / name).write_bytes((root / "test" / "red" / "0.png").read_bytes() if name == "a.png" else b"")
    ran = _run(command, *(argument.format(root=root) for argument in arguments))
    assert ran.returncode == 2, ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert "nowhere" in error and "left out" not in ran.stderr and "Traceback" not in ran.stderr
    assert not (root / "never").exists() and not list(root.glob(".never*"))


@pytest.mark.slow
def test_test_images_that_are_in_the_training_data_are_refused_before_the_extraction(root):
    """The copies have other file names, so a comparison of flags does not find them."""
    for number, file in enumerate(sorted((root / "train").glob("*/*.png"))):
        copy = root / "copy" / file.parent.name / f"copy-{number}.png"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    data = [f"--train_data=folder:{root}/train", f"--test_data=folder:{root}/copy"]
    for command, more in (("knn", []), ("linear_probe", ["--recipe=vissl_imagenet"])):
        ran = _run(command, f"--model={root}/network.keras", *data, *more)
        assert ran.returncode == 2, ran.stderr
        assert "all of the 60 test images are files of the training data too" in ran.stderr
        assert "images, " not in ran.stderr  # no progress line of the extraction


@pytest.mark.slow
def test_a_second_command_with_the_same_output_is_refused_at_the_start(root):
    """The second command starts while the first command works."""
    arguments = ["--pixels=thumbnail", "--data=builtin", f"--output={root / 'shared'}"]
    with subprocess.Popen(_command("extract_features", *arguments), stderr=subprocess.DEVNULL) as first:
        _wait_for(root / "shared" / ".lock-0")
        ran = _run("extract_features", *arguments)
        assert ran.returncode == 2 and "another process is writing features to" in ran.stderr
        first.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("retrieval", ["--results={root}/no/r.jsonl"], "no is no directory"),
        ("retrieval", ["--sheet={root}"], "is a directory"),
        (
            "retrieval",
            ["--sheet=s.html", "--test_data=builtin:test"],
            "only the test data has the classes blue bar on zigzag",
        ),
        ("knn", ["--test_data=builtin:test"], "only the test data has the classes blue bar on zigzag"),
        ("linear_svm", ["--test_data=builtin:test"], "only the test data has the classes blue bar on zigzag"),
    ],
)
def test_flags_that_do_not_fit_are_refused_before_the_work(root, command, arguments, sentence):
    """The folder holds a damaged image. The test fails if the error is about that image."""
    arguments = [argument.format(root=root) for argument in arguments]
    ran = _run(command, "--pixels=histogram", f"--train_data=folder:{root}/damaged", *arguments)
    assert ran.returncode == 2 and sentence in ran.stderr and not ran.stdout


@pytest.mark.slow
def test_results_on_stored_features_are_kept_with_their_run(root):
    """The results file beside the run holds the step and the digest of the network that made the features."""
    run, data = root / "run", f"--data=folder:{root}/test"
    trained = _run("pretrain", "--recipe=debug_tiny", "--set=run.num_steps=4", f"--run_dir={run}")
    assert trained.returncode == 0, trained.stderr
    ran = _run("extract_features", f"--model={run}", data, f"--output={root}/run.features")
    assert ran.returncode == 0, ran.stderr
    ran = _run("retrieval", f"--train_data=features:{root}/run.features")
    assert ran.returncode == 0, ran.stderr
    (outcome,) = read_file(run / "evaluations.jsonl")
    assert outcome.step == 4 and outcome.digest == open_features(root / "run.features").origin.digest


@pytest.mark.slow
def test_extraction_continues_after_a_kill(tmp_path):
    """The same command writes the missing shards. The features equal those of a command that was not killed."""
    arguments = ["--pixels=thumbnail", "--data=builtin", "--format=tfrecord", "--shard_mb=1"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    ran = _run("extract_features", *arguments, f"--output={whole}")
    assert ran.returncode == 0, ran.stderr
    command = _command("extract_features", *arguments, f"--output={killed}")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while not list(killed.glob("images-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in killed.glob("images-*")}
    assert 0 < len(finished) < len(list(whole.glob("images-*")))
    ran = _run("extract_features", *arguments, f"--output={killed}")
    assert ran.returncode == 0, ran.stderr
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())
    contents = [{path.name: path.read_bytes() for path in one.glob("[!.]*")} for one in (whole, killed)]
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_a_sheet_of_stored_features_is_refused_if_the_images_changed(tmp_path):
    """Images are found by their names."""
    for number in range(1, 4):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    stored = tmp_path / ".features"
    ran = _run("extract_features", "--pixels=thumbnail", f"--data=folder:{tmp_path}", f"--output={stored}")
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "1.png").rename(tmp_path / "4.png")
    ran = _run("retrieval", f"--train_data=features:{stored}", f"--sheet={tmp_path}/sheet.html")
    assert ran.returncode == 2 and "1.png is missing; extract the features again" in ran.stderr
    assert not (tmp_path / "sheet.html").exists()


@pytest.mark.slow
def test_two_devices_give_the_features_of_one(root):
    """Each of two logical CPUs gets half of every batch."""
    output = root / "two.features"
    arguments = ["--pixels=histogram", f"--data=folder:{root / 'test'}", "--num_devices=2", "--batch_size=7"]
    ran = _run("extract_features", *arguments, f"--output={output}")
    assert ran.returncode == 0, ran.stderr
    one, two = (open_features(directory).rows["histogram"][:] for directory in (root / "test.features", output))
    np.testing.assert_array_equal(one, two)
