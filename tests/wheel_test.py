"""The wheel, installed outside of the checkout: its files, its metadata, and a short run by command and by Python."""

import email.message
import email.parser
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from seer_tf.cli.entry import COMMANDS
from seer_tf.data.sources import builtin
from tests.places import ROOT

pytestmark = pytest.mark.slow

_OF_THE_BUILD = ("seer_tf", "LICENSE", "README.md", "pyproject.toml", "setup.cfg")
_API = """
import sys
sys.path.insert(0, {installed!r})
import seer_tf
assert seer_tf.__file__.startswith({installed!r}), seer_tf.__file__
run = seer_tf.pretrain("photos", "auto", minutes=0.2, settings={{"head.hidden_dims": 32}})
features = seer_tf.load("auto").features("photos")
print(run, features)
"""
_SERVE = """
import tensorflow as tf
model = tf.saved_model.load("model")
print(model.serve(tf.zeros([1, 48, 48, 3], tf.uint8)).keys())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory that the wheel was installed into."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in _OF_THE_BUILD:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    _pip("wheel", "--no-build-isolation", f"--wheel-dir={place}", str(source))
    (wheel,) = place.glob("*.whl")
    _pip("install", "--no-index", f"--target={place / 'installed'}", str(wheel))
    return place / "installed"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A working directory outside of the checkout, with a folder of images."""
    place = tmp_path_factory.mktemp("elsewhere")
    (place / "photos").mkdir()
    for number in range(48):
        (place / "photos" / f"{number}.jpg").write_bytes(builtin.render_image("train", number)[0])
    return place


def _pip(command: str, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", command, "--no-deps", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _run(command: list[str], elsewhere: pathlib.Path, installed: pathlib.Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _metadata(installed: pathlib.Path) -> email.message.Message:
    (file,) = installed.glob("*.dist-info/METADATA")
    return email.parser.Parser().parsestr(file.read_text("utf-8"))


def test_the_wheel_holds_the_package_and_one_command(installed: pathlib.Path) -> None:
    top = {path.name for path in installed.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"bin", "seer_tf"} and len(top) == 3
    assert [path.name for path in (installed / "bin").iterdir()] == ["seer-tf"]
    ours, theirs = (
        {path.relative_to(place).as_posix() for path in (place / "seer_tf").rglob("*") if path.is_file()}
        for place in (ROOT, installed)
    )
    assert {name for name in ours ^ theirs if not name.endswith(".pyc")} == set()
    assert {"seer_tf/py.typed", "seer_tf/reports/page.html.jinja2", "seer_tf/exporting/card.md.jinja2"} <= theirs


def test_the_metadata_are_complete(installed: pathlib.Path) -> None:
    metadata = _metadata(installed)
    said = (metadata["Name"], metadata["License"], metadata["License-File"])
    assert said == ("seer_tf", "Apache-2.0", "LICENSE")
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    extras = {"gpu", "beam", "hub", "heif", "litert", "onnx", "remote", "torch", "docs", "test"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras
    assert "# seer_tf" in str(metadata.get_payload()) and metadata["Description-Content-Type"] == "text/markdown"
    assert all("arxiv.org" in url for url in metadata.get_all("Project-URL", []))


def test_a_short_run_by_the_command(installed: pathlib.Path, elsewhere: pathlib.Path) -> None:
    program = [sys.executable, str(installed / "bin" / "seer-tf")]
    listed = _run([*program, "--help"], elsewhere, installed)
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ")] == list(COMMANDS)
    for command in (
        ["prepare_shards", "--data=photos", "--output=shards", "--jobs=1"],
        ["pretrain", "--recipe=debug_tiny", "--data=shards", "--run_dir=run", "--set=run.num_steps=10"],
        ["compare_runs", "run", "--reference=debug_tiny"],
        ["export", "--model=run", "--output=model"],
    ):
        _run([*program, *command], elsewhere, installed)
    assert "features" in _run([sys.executable, "-I", "-c", _SERVE], elsewhere, installed)
    for page in ("shards/audit.html", "comparison.html", "model/README.md"):
        assert (elsewhere / page).stat().st_size > 0


def test_a_short_run_by_python(installed: pathlib.Path, elsewhere: pathlib.Path) -> None:
    """Only this process has the package on its path. The speed trial in another process must find the package too."""
    printed = _run([sys.executable, "-I", "-c", _API.format(installed=str(installed))], elsewhere, installed)
    assert "<Run auto, step " in printed and "<Features of 48 images" in printed
