"""Every block and every command of the page on models of one's own runs, with fewer steps."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.data.sources.builtin import class_names, render_image
from tests.places import DOCS

pytestmark = pytest.mark.slow

_PAGE = (DOCS / "guides" / "bring_your_own_model.md").read_text("utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
_COMMANDS = re.findall(r"^    seer-tf (.*)$", _PAGE.replace("\\\n", " "), re.MULTILINE)
_CROPS = (
    '"crops.num": (2,), "crops.sizes_px": (32,), "crops.min_area_fractions": (0.4,), "crops.max_area_fractions": (1,)'
)
# After two steps the last stage is the same for all images up to rounding, and whitened features would magnify that.
_SHORT = f'settings={{"run.num_steps": 2, "data.global_batch_size": 4, "backbone.features": "avgpool", {_CROPS}}}'
_SHORTER = ("--set=run.num_steps=2", "--set=data.global_batch_size=4")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The variables after all blocks of Python, in a working directory with images."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("page")
        patch.chdir(place)
        patch.syspath_prepend(str(place))
        _write_images()
        yield _run_blocks()
    sys.modules.pop("my_network", None)


def _write_images() -> None:
    for folder, count in (("IMAGES", 24), ("OTHER_IMAGES", 4), ("TRAIN", 16), ("TEST", 8)):
        for number in range(count):
            encoded, label = render_image("test" if folder == "TEST" else "train", number)
            path = Path(folder, class_names[label] if folder.startswith("T") else "", f"{number}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded)


def _run_blocks() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for number, block in enumerate(_BLOCKS):
        if file := re.match(r"# (\w+\.py)\n", block):
            Path(file[1]).write_text(block, "utf-8")
        else:
            exec(block.replace("minutes=45", f"minutes=0.2, {_SHORT}"), names)
        names[f"run after {number}"] = names.get("run")
    return names


def test_the_python_from_top_to_bottom(names: dict[str, Any]) -> None:
    assert len(_BLOCKS) == 6
    assert names["features"].values.shape[0] == 4 and np.isfinite(names["features"].values).all()
    assert Path("OWN", "backbone.keras").is_file() and Path("MODEL", "model.keras").is_file()
    assert names["written"].files and names["run"].steps[-1] == 20
    assert seer_tf.load("RUN").features("OTHER_IMAGES", stage="avgpool").values.shape == (4, 576)
    assert names["network"].output_shape == (None, None, None, 576)


def test_the_weights_are_back_in_the_model_of_keras(names: dict[str, Any]) -> None:
    """Keras's own layer expects pixels. Only the first convolution of the run may have another stride."""
    run = names["run after 0"]
    pixels = np.random.default_rng(0).integers(0, 256, [1, 64, 64, 3]).astype(np.float32)
    given = keras.applications.mobilenet_v3.preprocess_input(pixels)
    expected = run.backbone.remade(stem_stride=2)
    expected.set_weights(run.backbone.get_weights())
    normalised = run.network.normalize(pixels.astype(np.uint8))
    np.testing.assert_allclose(names["model"](given), expected(normalised), rtol=1e-3, atol=1e-5)


def test_the_commands_from_top_to_bottom(names: dict[str, Any]) -> None:
    assert len(_COMMANDS) == 4
    for command in _COMMANDS:
        name, *arguments = shlex.split(command)
        if name == "pretrain":
            arguments = ["--run_dir=BY_COMMAND" if each == "--run_dir=RUN" else each for each in arguments]
            arguments += ["--minutes=0.2", "--set=crops.num=2", "--set=crops.sizes_px=32"]
            arguments += ["--set=crops.min_area_fractions=0.4", "--set=crops.max_area_fractions=1"]
        arguments += _SHORTER if name in ("pretrain", "finetune") else ()
        done = subprocess.run([sys.executable, "-m", "seer_tf.cli", name, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    assert Path("BY_COMMAND", "checkpoints", "step-2").is_dir()
    assert Path("TUNED", "checkpoints").is_dir() and Path("EXPORT", "model.keras").is_file()
