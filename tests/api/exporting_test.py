"""An export by Python to a URL: the memory of this process stands for a bucket."""

import pathlib

import pytest

import seer_tf
from seer_tf.files import storage
from seer_tf.models import RegNetY


@pytest.mark.slow
def test_an_export_to_a_bucket(tmp_path: pathlib.Path) -> None:
    RegNetY("90MF").save(tmp_path / "backbone.keras")
    url = "memory://exporting_test/model"
    written = seer_tf.export(tmp_path / "backbone.keras", url, formats=("keras",))
    assert storage.names(url) == ["README.md", "metadata.json", "model.keras"]
    assert written.path == url and f"{url}/model.keras" in written.lines()[0]
    with pytest.raises(seer_tf.InputError, match="model exists already"):
        seer_tf.export(tmp_path / "backbone.keras", url, formats=("keras",))
