"""Every block of the page on models of one's own runs, in its order, with fewer steps."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import seer_tf
from seer_tf.data.sources.builtin import render_image
from tests.places import DOCS

_PAGE = (DOCS / "guides" / "bring_your_own_model.md").read_text("utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
_CROPS = (
    '"crops.num": (2,), "crops.sizes_px": (32,), "crops.min_area_fractions": (0.4,), "crops.max_area_fractions": (1,)'
)
_SHORT = f'settings={{"run.num_steps": 2, "data.global_batch_size": 4, {_CROPS}}}'


@pytest.mark.slow
def test_the_page_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for folder, count in (("IMAGES", 24), ("OTHER_IMAGES", 4)):
        Path(folder).mkdir()
        for number in range(count):
            Path(folder, f"{number}.jpg").write_bytes(render_image("train", number)[0])
    names: dict[str, Any] = {}
    for block in _BLOCKS:
        if file := re.match(r"# (\w+\.py)\n", block):
            Path(file[1]).write_text(block, "utf-8")
        else:
            exec(block.replace("minutes=45", f"minutes=0.2, {_SHORT}"), names)
    sys.modules.pop("my_network", None)
    assert len(_BLOCKS) == 5
    assert names["features"].values.shape == (4, 576)
    assert Path("OWN", "backbone.keras").is_file() and Path("MODEL", "model.keras").is_file()
    assert names["written"].files and names["run"].steps[-1] == 20
    assert seer_tf.load("RUN").features("OTHER_IMAGES").values.shape == (4, 576)
    assert names["network"].output_shape == (None, None, None, 576)
