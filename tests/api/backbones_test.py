"""Keras models that are given in memory: a run keeps them, moves with them and continues."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import seer_tf
from seer_tf.api.backbones import variant_of_run
from seer_tf.errors import InputError
from seer_tf.networks.load import load_network
from seer_tf.training import tensor_store
from seer_tf.training.run_directory import RunDirectory


def _model(width: int = 8) -> keras.Model:
    """Two convolutions without names, so that every model has other names."""
    layers = [keras.layers.Conv2D(size, 3, strides=2, activation="relu") for size in (4, width)]
    return keras.Sequential([keras.Input((None, None, 3)), layers[0], keras.layers.BatchNormalization(), layers[1]])


def test_a_model_is_a_file_until_the_run_has_begun(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    model = _model()
    with pytest.raises(KeyError), variant_of_run(model, directory) as assigned:
        assert assigned == {"backbone.variant": str(tmp_path / "run" / "backbone.keras")}
        kept = keras.saving.load_model(directory.backbone)
        np.testing.assert_array_equal(kept(np.ones([1, 9, 9, 3])), model(np.ones([1, 9, 9, 3])))
        raise KeyError
    assert not directory.path.exists()
    with variant_of_run("resnet50", directory) as assigned:
        assert assigned == {"backbone.variant": "resnet50"}
    with variant_of_run(None, directory) as assigned:
        assert assigned == {}
    with pytest.raises(InputError, match="leave out pooling and classifier"), variant_of_run(_pooled(), directory):
        pass
    assert not directory.path.exists()


def _pooled() -> keras.Model:
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])


@pytest.mark.slow
def test_a_run_with_a_model_moves_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, [24, 32, 32, 3]).astype(np.uint8)
    settings = {"run.num_steps": 2, "run.steps_per_call": 1, "schedule.peak_learning_rate": 1e-9}
    settings |= {"run.checkpoint_every_steps": 1, "schedule.warmup_steps": 0, "data.global_batch_size": 8}
    model = _model()
    seer_tf.pretrain(images, "run", backbone=model, recipe="debug_tiny", settings=settings)
    backbone = load_network("run").backbone
    for weight, began in zip(backbone.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_allclose(weight, began, atol=1e-4)  # its weights are where the run started
    shutil.move("run", "moved")
    last = RunDirectory("moved").checkpoint(2)
    expected = tensor_store.read(last, tensor_store.shapes(last))
    shutil.rmtree(last)
    with pytest.raises(InputError, match="holds a run of another network than `backbone`"):
        seer_tf.pretrain(images, "moved", backbone=_model(9), recipe="debug_tiny", settings=settings)
    run = seer_tf.pretrain(images, "moved", backbone=_model(), recipe="debug_tiny", settings=settings)
    assert run.steps[-1] == 2
    found = tensor_store.read(last, tensor_store.shapes(last))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert seer_tf.load("moved").features(images).values.shape == (24, 8)
