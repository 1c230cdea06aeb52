"""The converter as a user runs it: all blocks of its page in docs/, and bad input."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch
from PIL import Image

from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.design import design
from tests.places import ROOT
from tests.references import released_checkpoints

_PAGE = (ROOT / "docs" / "guides" / "released_weights.md").read_text("utf-8")
_TIMEOUT_SECONDS = 300


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _PAGE, re.MULTILINE | re.DOTALL)


def _checkpoint(path: Path, variant: str) -> Path:
    """Writes random weights with a head, in the layout of the released files of pretrained networks."""
    network = released_checkpoints.random_network(design(variant))
    width = design(variant).stages()[-1].width
    projection = released_checkpoints.random_projection(width, (24, 16), batch_norm=True)
    head = released_checkpoints.swav_head(projection, released_checkpoints.random_prototypes())
    torch.save(released_checkpoints.vissl(network.state_dict(), head), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for the page's blocks: a small checkpoint with the page's file name, and photos in two classes."""
    folder = tmp_path_factory.mktemp("page")
    _checkpoint(folder / Path(published.PUBLISHED[0].file_name).name, "90MF")
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(3):
            pixels = generator.integers(0, 256, [48, 60, 3], np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def converted(folder: Path) -> tuple[Path, str]:
    """The directory that the page's command writes, and the output of the command."""
    (block,) = _blocks("sh")
    command = block.replace(".venv/bin/python", f"'{sys.executable}'")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS
    )
    assert ran.returncode == 0, ran.stderr
    return folder / "seer_rg32", ran.stdout


@pytest.mark.slow
def test_the_converter_says_what_it_did_and_under_which_licence(converted: tuple[Path, str]) -> None:
    directory, printed = converted
    assert published.LICENCE_NOTICE in printed
    assert "RegNetY-90MF in the layout of VISSL\n" in printed
    metadata = json.loads((directory / "metadata.json").read_text())
    assert f"matched: {len(metadata['matched'])} tensors\n" in printed
    assert f"unused: {len(metadata['unused'])} tensors\n" in printed and "missing: none\n" in printed
    for name in metadata["unused"]:
        assert f"  {name}\n" in printed
    assert "classy_state_dict.optimizer.optim.state.0.momentum_buffer" in metadata["unused"]


@pytest.mark.slow
def test_the_licence_is_beside_everything_and_in_the_metadata(converted: tuple[Path, str]) -> None:
    directory, _ = converted
    files = ["SEER_LICENCE.txt", "metadata.json", "model.keras", "saved_model", "swav_head.keras"]
    assert sorted(os.listdir(directory)) == files
    for place in (directory, directory / "saved_model"):
        assert (place / "SEER_LICENCE.txt").read_text("utf-8") == published.LICENCE_NOTICE
        metadata = json.loads((place / "metadata.json").read_text())
        assert metadata["licence"] == published.LICENCE and metadata["attribution"] == published.ATTRIBUTION


# Keras gives this warning for every Dataset that is fitted with the default arguments.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_the_page_runs(converted: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block runs in the page's folder. Both ways to features give the same if the images need no resize."""
    directory, _ = converted
    monkeypatch.chdir(directory.parent)
    found: list[dict[str, Any]] = []
    for block in _blocks("python"):
        assert len([line for line in block.splitlines() if line]) <= 10
        found.append({})
        exec(compile(block, "released_weights.md", "exec"), found[-1])
    of_files, in_keras, tuned, saving_memory = found
    assert of_files["features"].shape == in_keras["features"].shape == (6, 256)
    assert of_files["readable"].all() and in_keras["prototypes"].max() < 50
    assert tuned["network"].output_shape == (None, 2) and tuned["photos"].class_names == ["one", "two"]
    backbone, converted_one = saving_memory["backbone"], saving_memory["converted"]
    assert (backbone.activation_checkpointing, backbone.compute_dtype) == ("block", "bfloat16")
    for ours, theirs in zip(backbone.variables, converted_one.variables, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.value, theirs.value)
    square = np.random.default_rng(1).integers(0, 256, [2, 224, 224, 3], np.uint8)
    serve = tf.saved_model.load(str(directory / "saved_model")).signatures["serve"]
    normalized = (square / 255.0 - published.MEAN) / published.STD
    expected = in_keras["network"](normalized.astype(np.float32))
    np.testing.assert_allclose(serve(images=square)["features"], expected, atol=1e-4)


def test_the_page_names_every_file_that_was_released() -> None:
    for model in published.PUBLISHED:
        kind = "pretrained" if model.num_classes is None else "fine-tuned on ImageNet-1k"
        row = f"| RegNetY-{model.variant}, {kind} | {model.num_parameters / 1e6:,.0f} M | {model.input_size_px} px |"
        assert f"{row} `{model.file_name}` |" in _PAGE
    assert published.BASE_URL in _PAGE and published.ATTRIBUTION in _PAGE and published.LICENCE_URL in _PAGE


class _RunsCode:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was_run",)


# Runs the command once for each checkpoint. All runs share one process, so that TensorFlow is loaded once.
_EACH = """
import sys
from absl import flags
from seer_tf.cli import command, convert_checkpoint
for number, checkpoint in enumerate(sys.argv[1:]):
    flags.FLAGS.unparse_flags()
    if "needs torch" in checkpoint:
        sys.modules["torch"] = None
    sys.argv = ["convert_checkpoint", f"--checkpoint={checkpoint}", f"--output=out/{number}"]
    try:
        command.run(convert_checkpoint.main)
    except SystemExit as stopped:
        print("exit status", stopped.code)
"""


@pytest.mark.slow
def test_bad_input_gets_one_sentence_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    whole = (folder / Path(published.PUBLISHED[0].file_name).name).read_bytes()
    (tmp_path / "truncated.torch").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "foreign.torch").write_bytes(b"<html>not found</html>")
    torch.save({"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.ones(1000)}, tmp_path / "resnet.pth")
    (tmp_path / "evil.bin").write_bytes(pickle.dumps({"stem.conv.weight": _RunsCode()}))
    (tmp_path / "needs torch.torch").write_bytes(whole)
    golden = ROOT / "tests" / "golden" / "tiny_regnety_vissl.torch"
    sentences = {
        tmp_path / "nowhere.torch": "No such file or directory; give a checkpoint file",
        tmp_path / "truncated.torch": "the file is truncated, broken or no checkpoint",
        tmp_path / "foreign.torch": "this is neither a safetensors nor a PyTorch file",
        tmp_path / "resnet.pth": "there is no RegNetY in this file (its first tensors: conv1.weight, fc.bias)",
        tmp_path / "evil.bin": "refused, because its pickle asks for posix.system",
        golden: "its shapes fit no RegNetY",
        tmp_path / "needs torch.torch": "reading this file needs PyTorch; pip install 'seer_tf[torch]'",
    }
    ran = subprocess.run(
        [sys.executable, "-c", _EACH, *map(str, sentences)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
    )
    assert ran.stdout == "exit status 2\n" * len(sentences), ran.stderr
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    for line, (path, sentence) in zip(errors, sentences.items(), strict=True):
        assert line.startswith(f"error: {path}: {sentence}"), line
    assert "Traceback" not in ran.stderr
    assert not list((tmp_path / "out").iterdir())
    assert not (tmp_path / "was_run").exists()


def _peak_anonymous_bytes(checkpoint: Path) -> int:
    """Returns the peak of the converter's anonymous memory in bytes, sampled every 10 ms."""
    command = [sys.executable, "-m", "experiments.convert_checkpoint"]
    peak = 0
    with subprocess.Popen(
        [*command, f"--checkpoint={checkpoint}", f"--output={checkpoint}.converted"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        while running.poll() is None:
            status = Path(f"/proc/{running.pid}/status").read_text()
            found = re.search(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE)
            peak = max(peak, int(found[1]) * 1024 if found else 0)
            time.sleep(0.01)
    assert running.returncode == 0
    return peak


@pytest.mark.slow
def test_memory_is_at_most_2_3_times_the_weights(tmp_path: Path) -> None:
    """The test measures the converter only, without the process that verifies the files.

    The memory for a conversion of a very small network is subtracted.
    """
    idle = _peak_anonymous_bytes(_checkpoint(tmp_path / "small.torch", "90MF"))
    large = _checkpoint(tmp_path / "large.torch", "32GF")
    ratio = (_peak_anonymous_bytes(large) - idle) / large.stat().st_size
    assert ratio < 2.3, ratio
