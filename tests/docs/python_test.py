"""Every block on the page about Python runs, in the order of the page, on small sets."""

import re
from pathlib import Path
from typing import Any

import pytest

from seer_tf.data.sources import builtin
from tests.api.boxes import write_boxes
from tests.places import DOCS

_BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "guides" / "python.md").read_text("utf-8"), re.DOTALL)
_BRIEF = '"finetune_small", settings={"run.num_steps": 4, "data.global_batch_size": 8}'
_FEW_STEPS = "size_px=128, num_steps=2, batch_size=2, num_head_layers=1"
_SHORTER = 'minutes=0.2, settings={"run.num_steps": 8, "head.hidden_dims": 32}'


def _write(directory: Path, split: str, numbers: range, *, classes: bool = False) -> None:
    for number in numbers:
        encoded, label = builtin.render_image(split, number)
        folder = directory / builtin.class_names[label] if classes else directory
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encoded)


@pytest.mark.slow
def test_the_page_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "photos", "train", range(60))
    _write(tmp_path / "other_photos", "test", range(20))
    _write(tmp_path / "labelled" / "train", "train", range(100, 180), classes=True)
    _write(tmp_path / "labelled" / "test", "test", range(40), classes=True)
    write_boxes(tmp_path / "boxes", ("train", "test"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in _BLOCKS:
        for long, short in (("minutes=45", _SHORTER), ('"finetune_small"', _BRIEF), ("size_px=256", _FEW_STEPS)):
            block = block.replace(long, short)
        exec(block, names)
    assert len(_BLOCKS) == 10
    assert names["run"].steps[-1] == 8 and len(names["features"]) == 20
    assert (names["tried"].config.run.seed, names["again"].steps) == (1, [10])
    assert names["result"].num_test_images == names["baseline"].num_test_images == 40
    assert 0 <= names["detector"].precision.map <= 1
    assert names["tuned"].result.num_train_images == 80 and len(names["history"].history["loss"]) == 2
    assert names["served"].shape == (32, names["run"].backbone.output_shape[-1])  # the mean of the last stage
    assert names["maps"].shape == (1, 4, 4, 368)
