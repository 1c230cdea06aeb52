"""What an export says, and an export by Python to a URL: the memory of this process stands for a bucket."""

import pathlib

import pytest

import seer_tf
from seer_tf.api.exporting import Export
from seer_tf.exporting.card import ExportedFile
from seer_tf.files import storage
from seer_tf.models import RegNetY


def test_an_export_names_the_place_of_each_file() -> None:
    files = [ExportedFile("saved_model", ".", 2_000_000, 1e-7, 1e-5), ExportedFile("onnx", "a.onnx", 1, 0.0, 1e-4)]
    written = Export("model", files)
    assert written.lines()[0].startswith("saved_model: model, 2.0 MB, largest difference in a fresh process 1.0e-07 ")
    assert written.lines()[1].startswith("onnx: model/a.onnx, ") and "<td>model/a.onnx</td>" in written._repr_html_()


@pytest.mark.slow
def test_an_export_to_a_bucket(tmp_path: pathlib.Path) -> None:
    RegNetY("90MF").save(tmp_path / "backbone.keras")
    url = "memory://exporting_test/model"
    written = seer_tf.export(tmp_path / "backbone.keras", url, formats=("keras",))
    assert storage.names(url) == ["README.md", "metadata.json", "model.keras"]
    assert written.path == url and f"{url}/model.keras" in written.lines()[0]
    with pytest.raises(seer_tf.InputError, match="model exists already"):
        seer_tf.export(tmp_path / "backbone.keras", url, formats=("keras",))
