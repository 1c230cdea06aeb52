"""The view correlation: how similar two crops of an image are before training."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import Config, override
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.pretraining.auto import view_correlation as module
from seer_tf.pretraining.auto.view_correlation import view_correlation
from seer_tf.pretraining.recipes import recipe

_AS_THEY_ARE = [
    *(f"crops.{name}=0" for name in ("brightness", "contrast", "saturation", "hue", "grayscale_probability")),
    "crops.flip_probability=0",
]
_WHOLE = [*_AS_THEY_ARE, "crops.min_area_fractions=1,1", "crops.max_area_fractions=1,1"]


def _config(*assignments: str) -> Config:
    return override(recipe("demo"), ["crops.sizes_px=32,16", "backbone.stem_stride=1", *assignments])


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Images of independent pixels, so that crops are similar only if they share pixels."""
    folder, random = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for number in range(96):
        pixels = random.integers(0, 256, [32, 32, 3], np.uint8)
        tf.io.write_file(str(folder / f"{number}.png"), tf.io.encode_png(pixels))
    return open_source(f"folder:{folder}")


@pytest.fixture(scope="module")
def of_whole_images(noise):
    """The view correlation of crops that are whole images."""
    return view_correlation(_config(*_WHOLE), noise)


def test_small_crops_of_noise_have_no_view_correlation_and_whole_images_a_high_one(noise, of_whole_images):
    parts = view_correlation(
        _config(*_AS_THEY_ARE, "crops.min_area_fractions=0.03,0.03", "crops.max_area_fractions=0.05,0.05"), noise
    )
    assert abs(parts) < 0.06
    assert of_whole_images > 0.9


@pytest.mark.slow
def test_less_distortion_gives_a_higher_view_correlation():
    source = open_source("builtin")
    half, none = (view_correlation(_config(*assignments), source) for assignments in ([], _AS_THEY_ARE[:-1]))
    assert 0.03 < half < none < 0.3


def test_the_view_correlation_is_deterministic_and_ignores_small_crops(noise, of_whole_images):
    again = _config(*_WHOLE, "crops.num=2,1", "crops.sizes_px=32,24", "run.precision=mixed_bfloat16")
    assert of_whole_images == pytest.approx(view_correlation(again, noise), abs=1e-6)


def test_the_cpu_computes_the_view_correlation_for_every_default_device(noise, monkeypatch):
    models, devices = [], []
    initial_model, sums = module.initial_model, module._sums

    def kept_model(config):
        models.append(initial_model(config))
        return models[0]

    def seen_sums(model, batch):
        devices.append(model(batch)[0].device)
        return sums(model, batch)

    monkeypatch.setattr(module, "initial_model", kept_model)
    monkeypatch.setattr(module, "_sums", seen_sums)
    monkeypatch.setattr(module, "_NUM_IMAGES", 8)
    with tf.device("CPU:1"):  # instead of a GPU
        view_correlation(_config(), noise)
    devices += [variable.value.device for variable in models[0].variables]
    assert {tf.DeviceSpec.from_string(device).device_index for device in devices} == {0}


def test_too_many_broken_images_get_one_sentence(tmp_path):
    for number in range(8):
        encoded = tf.io.encode_jpeg(np.full([32, 32, 3], 30 * number, np.uint8)).numpy()
        (tmp_path / f"{number}.jpg").write_bytes(encoded if number % 2 else encoded[: len(encoded) // 2])
    with pytest.raises(InputError, match="of 8 images cannot be used, more than data.max_bad_fraction=0.01 allows"):
        view_correlation(_config(), open_source(f"folder:{tmp_path}"))
