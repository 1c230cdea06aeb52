"""The notebooks run from the first cell to the last, with a few images and random weights."""

import ast
import json
import pathlib
from typing import Any

import pytest
import torch

from seer_tf.data.sources import builtin
from seer_tf.models.backbones.regnet import published
from seer_tf.models.backbones.regnet.design import design
from tests.places import DOCS
from tests.references import released_checkpoints

_SHORTER = 'minutes=0.2, settings={"run.num_steps": 8, "head.hidden_dims": 32}'


def _cells(name: str) -> list[str]:
    notebook = json.loads((DOCS / "notebooks" / f"{name}.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    return ["".join(cell["source"]) for cell in code]


def _run(cells: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Runs cells as Jupyter does.

    Returns:
        Names that the cells define, and the HTML of each last expression that has HTML.
    """
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
            shown += [value._repr_html_()] if hasattr(value, "_repr_html_") else []
    return names, shown


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The working directory with the folders that the notebooks name."""
    for folder, split, numbers in (
        ("photos", "train", range(48)),
        ("labelled/train", "train", range(100, 124)),
        ("labelled/test", "test", range(16)),
    ):
        for number in numbers:
            encoded, label = builtin.render_image(split, number)
            directory = tmp_path / folder / builtin.class_names[label]
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{number}.jpg").write_bytes(encoded)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    return tmp_path


@pytest.mark.slow
def test_the_notebook_on_pretraining_runs(place: pathlib.Path) -> None:
    names, shown = _run([cell.replace("minutes=20", _SHORTER) for cell in _cells("pretrain_on_a_folder")])
    assert names["run"].steps[-1] == 8 and len(names["features"]) == 48
    assert (names["nearest"][:, 0] == names["queries"]).all() and names["places"].shape == (48, 2)
    assert names["ours"].num_test_images == 16
    assert len(shown) == 3 and "<svg" in shown[0] and "48 images" in shown[1] and "saved_model" in shown[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed")
def test_the_notebook_on_released_weights_runs(place: pathlib.Path) -> None:
    network = released_checkpoints.random_network(design("90MF"))
    width = design("90MF").stages()[-1].width
    projection = released_checkpoints.random_projection(width, (24, 16), batch_norm=True)
    head = released_checkpoints.swav_head(projection, released_checkpoints.random_prototypes())
    file = pathlib.Path(published.PUBLISHED[0].file_name).name
    torch.save(released_checkpoints.vissl(network.state_dict(), head), place / file)
    names, shown = _run(_cells("released_weights"))
    assert names["backbone"].variant == "90MF" and names["train_features"].shape == (24, width)
    assert 1 <= len(names["history"].history["val_accuracy"]) <= 2
    assert len(shown) == 1 and "tuned.keras" in shown[0]
