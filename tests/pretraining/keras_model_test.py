"""A Keras model of three layers in a run and in a file; `whole_road_test.py` takes larger networks through all."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.methods.swav.state import TrainState
from seer_tf.models.backbones.keras_model.source import read_source
from seer_tf.networks.load import load_network
from seer_tf.pretraining.auto.choices import Facts
from seer_tf.pretraining.auto.rules import choose
from seer_tf.pretraining.planning import plan, weight_sizes
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.pretraining.warm_start import initialize
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders
from tests.repeated_step import assert_repeats_bit_for_bit
from tests.three_layers import THREE_LAYERS, three_layers

_NUM_IMAGES = 8
_ONE_SIZE = ("crops.num=2", "crops.sizes_px=32", "crops.min_area_fractions=0.4", "crops.max_area_fractions=1")


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory with a network of three layers. Python forgets the module after the test."""
    monkeypatch.chdir(tmp_path)
    with three_layers():
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Twelve images with their classes."""
    folder = tmp_path_factory.mktemp("images")
    write_class_folders(folder, "train", range(12))
    return open_source(f"folder:{folder}")


def _config(variant: str, *settings: str) -> Config:
    """Returns a config with three steps, crops of 32 and 16 px, and a checkpoint after each step."""
    fields = (
        f"backbone.variant={variant}",
        f"data.global_batch_size={_NUM_IMAGES}",
        "head.num_prototypes=5",
        "swav.freeze_prototypes_steps=1",
        *("schedule.warmup_steps=1", "schedule.peak_learning_rate=0.1"),
        *("run.num_steps=3", "run.steps_per_call=1", "run.log_every_steps=1"),
        *("run.checkpoint_every_steps=1", "run.keep_checkpoints=3"),
    )
    return configs.validate(configs.override(recipe("debug_tiny"), [*fields, *settings]))


def test_a_network_of_three_layers_trains_continues_and_is_exported(source: Source) -> None:
    config = _config(THREE_LAYERS, "run.num_steps=2", *_ONE_SIZE, "crops.sizes_px=16")
    assert pretrain(config, source, RunDirectory("RUN")).step == config.run.num_steps
    assert_repeats_bit_for_bit(config, source, RunDirectory("RUN"))
    network = load_network("RUN").selected("prototypes")
    assert network.backbone.variant == THREE_LAYERS
    sizes = [int(np.prod(weight.shape)) for weight in network.backbone.trainable_variables]
    assert plan(config, 1).backbone_parameters == sum(sizes) and set(sizes) <= set(weight_sizes(config))
    images = np.random.default_rng(0).integers(0, 256, [3, 16, 16, 3]).astype(np.uint8)
    expected = network.on_images(images)
    sys.modules.pop("three_layers")
    Path("three_layers.py").unlink()  # files and exports do not need this module
    network.on_images.save("model.keras")
    read = keras.saving.load_model("model.keras")(images)
    for name in ("features", "embeddings"):
        np.testing.assert_allclose(read[name], expected[name], atol=1e-6)


def test_a_run_begins_with_the_weights_of_a_file() -> None:
    source = read_source(THREE_LAYERS)
    source.save_weights("own.weights.h5")
    state = TrainState(_config(THREE_LAYERS, "backbone.weights=own.weights.h5"))
    initialize(state)
    for weight, expected in zip(state.model.backbone.trainable_variables, source.trainable_variables, strict=True):
        np.testing.assert_array_equal(weight, expected)
    with pytest.raises(InputError, match="backbone.weights=own.weights.h5: 90MF is no Keras model"):
        TrainState(_config("90MF", "backbone.weights=own.weights.h5"))
    with pytest.raises(InputError, match="backbone.weights and run.init_from both give weights"):
        _config(THREE_LAYERS, "backbone.weights=own.weights.h5", "run.init_from=RUN")


def test_auto_takes_the_network_that_is_given() -> None:
    facts = Facts(2000, 64, 1, is_accelerator=False, device_bytes=2**33, minutes=30, flops_per_second=5e10)
    for variant in (THREE_LAYERS, "resnet50"):
        config = choose(facts, {"backbone.variant": variant}).config
        assert config.backbone.variant == variant and config.crops.sizes_px[0] in (32, 64)
        assert config.run.num_steps > 20 and plan(config, 1).memory.total < 0.8 * facts.device_bytes
