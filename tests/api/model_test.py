"""`seer_tf.load`: the weights are read once, when they are needed."""

import pathlib

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.errors import InputError
from seer_tf.networks import load
from tests.exporting.tiny_network import SIZE_PX, tiny_network


def test_the_weights_are_read_once(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_network().backbone.save(tmp_path / "backbone.keras")
    read, files = load.read_keras_file, []

    def noted(path: pathlib.Path) -> keras.Model:
        files.append(path)
        return read(path)

    monkeypatch.setattr(load, "read_keras_file", noted)
    model = seer_tf.load(tmp_path / "backbone.keras")
    assert files == []
    images = np.zeros([2, SIZE_PX, SIZE_PX, 3], np.uint8)
    first, again = (model.features(images, size_px=SIZE_PX).values for _ in range(2))
    assert files == [tmp_path / "backbone.keras"] and np.array_equal(first, again)


def test_a_damaged_file_is_an_input_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "backbone.keras").write_bytes(b"damaged")
    model = seer_tf.load(tmp_path / "backbone.keras")
    with pytest.raises(InputError, match=r"backbone\.keras"):
        model.backbone  # noqa: B018
