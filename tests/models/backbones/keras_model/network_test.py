"""Keras models as backbones: the same numbers as in Keras, stable names, our batch norm, and errors."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import BackboneConfig, CropsConfig
from seer_tf.errors import InputError
from seer_tf.models.backbones.keras_model.layers import KerasBatchNormalization
from seer_tf.models.backbones.keras_model.network import KerasBackbone, build
from seer_tf.models.backbones.keras_model.preprocessing import KINDS, Preprocessing, kind_of
from seer_tf.models.backbones.keras_model.source import Variants, flat, read_source
from seer_tf.models.backbones.registry import backbone_cost, build_backbone
from seer_tf.models.stage_maps import stage_names

_NETWORK = """
import keras

def build():
    image = x = keras.Input((None, None, 3))
    for width in (8, 16, 24):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(scale=width < 24, momentum=0.5)(x)
        x = keras.layers.Dropout(0.5)(keras.layers.ReLU()(x))
    return keras.Model(image, x)

def pooled():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))

def noisy():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.GaussianNoise(0.1)(image))

def of_one_size():
    image = keras.Input((32, 32, 3))
    return keras.Model(image, keras.layers.Reshape((16, 16, 12))(image))

def of_unknown_size():
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.EinsumDense("bhwc,cd->bhwd", (None, None, 8))(image))

def broken():
    raise KeyError("width")

def number():
    return 3
"""


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory with a module of networks. Python forgets the module after the test."""
    monkeypatch.chdir(tmp_path)
    Path("three_layers.py").write_text(_NETWORK)
    yield
    sys.modules.pop("three_layers", None)


def _images(side: int = 33) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, side, side, 3)).astype(np.float32)


def test_numbers_equal_keras_and_a_second_backbone_has_the_same_names() -> None:
    keras.utils.set_random_seed(1)
    source = read_source("three_layers:build")
    backbone = KerasBackbone("three_layers:build", architecture=source)
    np.testing.assert_allclose(backbone(_images()), source(_images()), atol=1e-6)
    for weights in (source.layers[2], backbone.layers[2]):
        assert weights.name == "batch_normalization"
    first = backbone.layers[1](_images())
    expected = source.layers[2](first, training=True)
    np.testing.assert_allclose(backbone.layers[2](first, training=True), expected, atol=1e-6)
    moved = (
        tf.math.reduce_variance(first, [0, 1, 2]) * (4 * 17 * 17) / (4 * 17 * 17 - 1)
    )  # unbiased, as everywhere here
    np.testing.assert_allclose(backbone.layers[2].moving_variance, 0.5 + 0.5 * moved, rtol=1e-5)
    again = build("three_layers:build")
    assert [weight.path for weight in again.weights] == [weight.path for weight in backbone.weights]
    assert "conv2d_2/kernel" in [weight.path for weight in again.weights]


def test_layers_are_ours_and_dropout_is_off() -> None:
    backbone = build("three_layers:build", synchronized=True, group_replicas=2)
    norms = [layer for layer in backbone.layers if isinstance(layer, KerasBatchNormalization)]
    assert [(norm.synchronized, norm.group_replicas, norm.momentum) for norm in norms] == [(True, 2, 0.5)] * 3
    # Conv2D has 3, beta has 3, and gamma has 2, because the last batch norm has no scale.
    assert len(backbone.trainable_variables) == 8 and len(backbone.variables) == 3 + 3 * 4
    local = build("three_layers:build")
    np.testing.assert_array_equal(local(_images(), training=True), local(_images(), training=True))


def test_moving_statistics_follow_within_thirty_steps() -> None:
    """Keras's momentum of 0.999 would keep 97 % of the initial variance."""
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.BatchNormalization(momentum=0.999)(image))
    backbone = KerasBackbone("slow", architecture=network)
    for _ in range(30):
        backbone(10 * _images(), training=True)
    np.testing.assert_allclose(backbone.layers[1].moving_variance, 100, rtol=0.1)


def test_pyramid_outputs_strides_and_cost_agree() -> None:
    backbone, small = build("three_layers:build"), build("three_layers:build", stem_stride=1)
    assert {name: output.shape[-1] for name, output in backbone.pyramid_outputs.items()} == {
        "P1": 8,
        "P2": 16,
        "P3": 24,
    }
    assert backbone.pyramid_outputs["P3"] is backbone.outputs[0]
    assert backbone(_images(32)).shape == (4, 4, 4, 24) and small(_images(32)).shape == (4, 8, 8, 24)
    cost = backbone_cost(BackboneConfig("three_layers:build"))
    assert cost.weight_sizes == [int(np.prod(weight.shape)) for weight in backbone.trainable_variables]
    assert cost.multiply_adds(32) == 9 * (3 * 8 * 16**2 + 8 * 16 * 8**2 + 16 * 24 * 4**2)
    assert cost.normalized_widths == [8, 16, 24] and cost.feature_width == 24
    assert cost.stem_elements(32) == 8 * 16**2
    kept = [(block.input, block.outer) for block in cost.blocks(32)]
    assert kept == [(0, 16 * 8**2), (0, 24 * 4**2), (8 * 16**2, 0), (16 * 8**2, 0), (24 * 4**2, 0)]


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_copy_in_another_precision_has_the_same_weights(dtype: str) -> None:
    backbone = build("three_layers:build", stem_stride=1, dtype=dtype)
    assert backbone(_images()).dtype == backbone.compute_dtype == dtype.removeprefix("mixed_")
    copy = backbone.remade(dtype="float32")
    copy.set_weights(backbone.get_weights())
    assert [weight.path for weight in copy.weights] == [weight.path for weight in backbone.weights]
    np.testing.assert_allclose(copy(_images()), tf.cast(backbone(_images()), tf.float32), atol=0.1)


def test_weights_come_from_a_file() -> None:
    source = read_source("three_layers:build")
    source.save("whole.keras")
    source.save_weights("only.weights.h5")
    expected = source(_images())
    np.testing.assert_allclose(build("whole.keras")(_images()), expected, atol=1e-6)
    for file in ("whole.keras", "only.weights.h5"):
        backbone = build("three_layers:build")
        assert np.max(np.abs(backbone(_images()) - expected)) > 1e-3
        backbone.take_weights(Path(file))
        np.testing.assert_allclose(backbone(_images()), expected, atol=1e-6)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights("other.weights.h5")
    for file in ("other.weights.h5", "nowhere.h5"):
        with pytest.raises(InputError, match=rf"`backbone.weights={file}` has no weights for three_layers:build"):
            build("three_layers:build").take_weights(Path(file))


def test_a_network_that_only_halves_the_image_has_one_stage() -> None:
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(4, 3, strides=2, padding="same")(image))
    assert stage_names(KerasBackbone("one", architecture=network)) == ("res1",)


def test_models_inside_a_model_become_part_of_it() -> None:
    image = keras.Input((None, None, 3))
    inner = keras.Sequential([keras.layers.Conv2D(4, 3, strides=2, padding="same"), keras.layers.BatchNormalization()])
    outer = keras.Model(image, keras.layers.Conv2D(5, 2, strides=2)(inner(image)))
    backbone = KerasBackbone("inner", architecture=flat(outer, "inner"))
    np.testing.assert_allclose(backbone(_images()), outer(_images()), atol=1e-6)
    assert list(backbone.pyramid_outputs) == ["P1", "P2"]
    assert any(isinstance(layer, KerasBatchNormalization) for layer in backbone.layers)


@pytest.mark.parametrize("groups", [2, 8])
def test_a_grouped_convolution_equals_keras(groups: int) -> None:
    image = keras.Input((None, None, 8))
    source = keras.Model(
        image, keras.layers.Conv2D(16, 3, strides=2, padding="same", groups=groups, use_bias=False)(image)
    )
    kernel = source.layers[1].kernel.numpy()
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 8)).astype(np.float32)
    from seer_tf.models.backbones.keras_model.layers import GroupedConv2D

    ours = GroupedConv2D.from_config(source.layers[1].get_config())
    ours.build((None, None, None, 8))
    ours.set_weights([kernel])
    np.testing.assert_allclose(ours(x), source(x), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_gets_the_pixels_that_it_expects(kind: str) -> None:
    pixels = np.array([[[[0.0, 128.0, 255.0], [12.0, 34.0, 56.0]]]])
    normalized = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    expected = {
        "normalized": normalized,
        "0 to 255": pixels,
        "0 to 1": pixels / 255,
        "-1 to 1": pixels / 127.5 - 1,
        "caffe": pixels[..., ::-1] - (103.939, 116.779, 123.68),
    }[kind]
    np.testing.assert_allclose(Preprocessing(kind, dtype="float64")(normalized), expected, atol=1e-9)


def test_the_expected_pixels_of_keras_applications_are_found() -> None:
    applications = keras.applications
    assert kind_of(applications.resnet50.preprocess_input, source="applications") == "caffe"
    assert kind_of(applications.densenet.preprocess_input, source="applications") == "normalized"
    assert kind_of(applications.mobilenet_v2.preprocess_input, source="applications") == "-1 to 1"
    assert kind_of(applications.efficientnet_v2.preprocess_input, source="applications") == "0 to 255"
    with pytest.raises(InputError, match="the preprocessing of squares is of an unknown kind"):
        kind_of(lambda pixels: pixels**2, source="squares")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("keras.applications:ResNet51", "there is no backbone 'keras.applications:ResNet51'.*ResNet50"),
        ("no_such_module:build", "there is no module no_such_module in the working directory or on PYTHONPATH"),
        ("three_layers:biuld", "three_layers has no function biuld"),
        ("three_layers:broken", "the function fails with KeyError: 'width'"),
        ("three_layers:number", "gives a int; a functional or sequential Keras model is needed"),
        ("three_layers:pooled", "leave out pooling and classifier"),
        ("three_layers:noisy", "draws random numbers"),
        ("three_layers:of_one_size", "is no backbone for images of any size"),
        ("three_layers:of_unknown_size", r"the layer einsum_dense\S* does not know the size of its output"),
        ("nowhere.keras", "there is no file nowhere.keras"),
    ],
)
def test_networks_that_cannot_be_backbones_are_refused(variant: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_backbone(BackboneConfig(variant))


def test_activation_checkpointing_is_refused_before_the_network_is_made() -> None:
    for ask in (build_backbone, backbone_cost):
        with pytest.raises(
            InputError, match="backbone.activation_checkpointing=block: no_such:f cannot recompute that; set it to none"
        ):
            ask(BackboneConfig("no_such:f", activation_checkpointing="block"))


def test_batch_norm_inside_a_layer_works_on_one_replica_only() -> None:
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.bn = keras.layers.BatchNormalization()

        def build(self, shape):
            self.bn.build(shape)

        def call(self, inputs, training=None):
            return self.bn(inputs, training=training)

    image = keras.Input((None, None, 3))
    model = flat(keras.Model(image, Block(name="block")(image)), "block")
    assert KerasBackbone("block", architecture=model)(_images()).shape == _images().shape
    with pytest.raises(InputError, match="is inside another layer"):
        KerasBackbone("block", architecture=model, synchronized=True)


def test_images_that_are_too_small_are_refused() -> None:
    image = x = keras.Input((None, None, 3))
    for _ in range(3):
        x = keras.layers.Conv2D(4, 3, strides=2)(x)  # without padding: 15 px become 7, 3 and 1
    backbone = KerasBackbone("unpadded", architecture=flat(keras.Model(image, x), "unpadded"))
    backbone.check_size(15)
    with pytest.raises(InputError, match="images of 14 px are too small for unpadded; set a larger crops.sizes_px"):
        backbone.check_size(14)


def test_variants_list_keras_applications() -> None:
    names = list(Variants())
    assert "keras.applications:EfficientNetV2B0" in names and len(names) == len(Variants()) > 30
    assert "three_layers:build" in Variants() and "400MF" not in Variants() and "a b:c" not in Variants()


def _hub_preset(path: str, **converter: Any) -> keras.Model:
    """Writes a preset of KerasHub, with an image converter if its arguments are given, and returns the network."""
    hub = pytest.importorskip("keras_hub")
    backbone = hub.models.DenseNetBackbone([1, 1, 1], growth_rate=4)
    backbone.save_to_preset(path)
    if converter:
        hub.layers.DenseNetImageConverter(**converter).save_to_preset(path)
    return backbone


@pytest.mark.parametrize(
    ("converter", "kind"), [({}, "normalized"), ({"scale": 1 / 127.5, "offset": -1.0}, "-1 to 1")], ids=str
)
def test_a_preset_of_keras_hub_keeps_its_weights_and_its_preprocessing(converter: dict[str, float], kind: str) -> None:
    preset = _hub_preset("preset", **converter)
    backbone = build("keras_hub:preset")
    assert backbone.expects == kind and list(backbone.pyramid_outputs) == ["P1", "P2", "P3", "P4"]
    matrix, offset = KINDS[kind]
    mean, std = np.array(CropsConfig().mean), np.array(CropsConfig().std)
    pixels = (_images(64) * std + mean) * 255
    expected = _images(64) if kind == "normalized" else pixels @ matrix + offset
    np.testing.assert_allclose(backbone(_images(64)), preset(expected.astype(np.float32)), atol=1e-4)


def test_what_keras_hub_cannot_load_is_one_sentence() -> None:
    _hub_preset("unknown", scale=7.0)
    with pytest.raises(InputError, match="the preprocessing of keras_hub:unknown is of an unknown kind"):
        build("keras_hub:unknown")
    with pytest.raises(InputError, match=r"`backbone.variant=keras_hub:\./nowhere`: KerasHub cannot load the preset"):
        build("keras_hub:./nowhere")
