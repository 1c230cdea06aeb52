import dataclasses
import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import models
from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbones.regnet.design import RegNetDesign
from seer_tf.models.backbones.regnet.network import BottleneckBlock, Stem
from seer_tf.models.layers import BatchNormalization, Conv2D, SqueezeExcitation
from tests.places import ROOT
from tests.references.regnet import bottleneck_block

TINY = RegNetDesign(depth=3, w_0=8, w_a=8.0, w_m=2.0, group_width=4)


def _randomize(layer: keras.layers.Layer, seed: int) -> None:
    """Gives every variable random values, around one for scales and variances, otherwise around zero."""
    random = np.random.default_rng(seed)
    for variable in layer.variables:
        around = 1.0 if variable.path.endswith(("gamma", "moving_variance")) else 0.0
        variable.assign(around + random.uniform(-0.5, 0.5, size=variable.shape))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("width_in", "strides"), [(6, 1), (8, 1), (8, 2)])
def test_block_equals_the_oracle(width_in: int, strides: int, training: bool) -> None:
    block = BottleneckBlock(8, group_width=4, strides=strides, name="block", dtype="float64")
    x = np.random.default_rng(5).normal(size=(2, 5, 4, width_in))
    block.build(x.shape)
    _randomize(block, seed=6)
    weights = {variable.path.removeprefix("block/"): variable.numpy() for variable in block.variables}
    assert ("shortcut/kernel" in weights) == (width_in != 8 or strides != 1)
    expected = bottleneck_block(x, weights, strides=strides, groups=2, training=training)
    np.testing.assert_allclose(block(x, training=training), expected, rtol=1e-10, atol=1e-12)
    assert block.compute_output_shape(x.shape) == expected.shape


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_images_may_have_any_size(stem_stride: int) -> None:
    maps = tf.function(
        models.RegNetY("90MF", stem_stride=stem_stride), input_signature=[tf.TensorSpec([1, None, None, 3])]
    )
    for height, width in zip(range(32, 66), range(99, 32, -2), strict=True):
        sides = [math.ceil(side / (16 * stem_stride)) for side in (height, width)]
        assert maps(tf.zeros([1, height, width, 3])).shape == (1, *sides, 256)


def test_pyramid_and_pooled_outputs() -> None:
    network = models.RegNetY("90MF")
    image = tf.random.stateless_normal([2, 64, 64, 3], seed=(0, 0))
    pyramid = keras.Model(network.input, network.pyramid_outputs)(image)
    shapes = {name: tuple(feature_map.shape) for name, feature_map in pyramid.items()}
    widths = {"P1": 32, "P2": 32, "P3": 64, "P4": 128, "P5": 256}
    assert shapes == {name: (2, 64 >> level, 64 >> level, widths[name]) for level, name in enumerate(widths, start=1)}
    np.testing.assert_array_equal(pyramid["P5"], network(image))
    np.testing.assert_allclose(models.pooled(network)(image), tf.reduce_mean(pyramid["P5"], [1, 2]), rtol=1e-6)


EVERY_ARGUMENT: dict[str, Any] = {
    "variant": "800MF",
    "design": TINY,
    "stem_width": 16,
    "stem_stride": 1,
    "synchronized": True,
    "group_replicas": 2,
    "activation_checkpointing": "stage",
    "licence": "CC0-1.0",
    "name": "mine",
    "dtype": "mixed_bfloat16",
}


def test_config_round_trip_with_no_default_argument() -> None:
    arguments = inspect.signature(models.RegNetY.__init__).parameters
    assert EVERY_ARGUMENT.keys() == arguments.keys() - {"self", "kwargs"}
    assert all(value != arguments[name].default for name, value in EVERY_ARGUMENT.items())
    network = models.RegNetY(**EVERY_ARGUMENT, trainable=False)
    config = network.get_config()
    assert json.loads(json.dumps(config)) == config
    again = models.RegNetY.from_config(config)
    assert again.get_config() == config
    for name, value in {**EVERY_ARGUMENT, "trainable": False}.items():
        assert (again.dtype_policy.name if name == "dtype" else getattr(again, name)) == value, name
    (block,) = (layer for layer in _all_layers(again) if layer.name == "stage2_block1")
    assert (block.b_bn.synchronized, block.b_bn.group_replicas, block.b.compute_dtype) == (True, 2, "bfloat16")
    assert (again.get_layer("stem").strides, again.get_layer("stem").width) == (1, 16)
    ours, theirs = ([(v.path, v.shape, v.dtype) for v in model.variables] for model in (network, again))
    assert ours == theirs


LAYERS: list[tuple[type[keras.layers.Layer], dict[str, Any]]] = [
    (Conv2D, {"filters": 4, "kernel_size": 3, "strides": 2, "groups": 2}),
    (BatchNormalization, {"momentum": 0.7, "epsilon": 1e-3, "synchronized": True, "group_replicas": 2}),
    (SqueezeExcitation, {"squeeze_width": 3}),
    (Stem, {"width": 8, "strides": 1, "synchronized": True, "group_replicas": 2}),
    (
        BottleneckBlock,
        {
            "width": 8,
            "group_width": 4,
            "strides": 2,
            "synchronized": True,
            "group_replicas": 2,
            "keeps_convolutions_only": True,
        },
    ),
]


@pytest.mark.parametrize(("kind", "arguments"), LAYERS)
def test_config_round_trip_of_a_layer(kind: type[keras.layers.Layer], arguments: dict[str, Any]) -> None:
    parameters = inspect.signature(kind.__init__).parameters
    assert arguments.keys() == parameters.keys() - {"self", "kwargs"}
    assert all(value != parameters[name].default for name, value in arguments.items())
    layer = kind(**arguments, name="mine", dtype="mixed_bfloat16", trainable=False)
    again = kind.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert {name: getattr(again, name) for name in arguments} == arguments
    assert (again.name, again.dtype_policy.name, again.trainable) == ("mine", "mixed_bfloat16", False)


_LOAD_AND_RUN = """
import keras
import numpy as np
import seer_tf

np.save("maps.npy", keras.saving.load_model("tiny.keras")(np.load("image.npy")))
"""


# NumPy 2 deprecates the way in which Keras 3.15 converts a variable to an array.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_saved_network_loads_with_its_weights(tmp_path: Path) -> None:
    network = models.RegNetY(design=TINY, name="tiny")
    _randomize(network, seed=7)
    image = tf.random.stateless_normal([2, 40, 48, 3], seed=(0, 0))
    network.save(tmp_path / "tiny.keras")
    loaded = keras.saving.load_model(tmp_path / "tiny.keras")
    assert isinstance(loaded, models.RegNetY) and set(loaded.pyramid_outputs) == set(network.pyramid_outputs)
    np.testing.assert_array_equal(loaded(image), network(image))
    # The fresh process imports only the package.
    np.save(tmp_path / "image.npy", image)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _LOAD_AND_RUN]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "maps.npy"), network(image), rtol=1e-5, atol=1e-6)


def test_names_and_paths_are_unique_and_do_not_depend_on_other_models() -> None:
    networks = [models.RegNetY(design=TINY) for _ in range(2)]
    first, second = ([variable.path for variable in network.variables] for network in networks)
    assert first == second and len(set(first)) == len(first)
    names = ["image", "stem", "stage1_block1", "stage2_block1", "stage3_block1"]
    assert [[layer.name for layer in network.layers] for network in networks] == [names, names]
    assert {"stem/conv/kernel", "stage1_block1/shortcut_bn/moving_mean", "stage2_block1/se/reduce_bias"} <= set(first)


def _all_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [each for each in layer._flatten_layers() if not isinstance(each, keras.layers.InputLayer)]


@pytest.mark.parametrize(
    ("policy", "compute", "kept"),
    [
        ("mixed_bfloat16", "bfloat16", "float32"),
        ("mixed_float16", "float16", "float32"),
        ("float32", "float32", "float32"),
        ("float64", "float64", "float64"),
    ],
)
def test_policy_reaches_every_layer(policy: str, compute: str, kept: str) -> None:
    network = models.RegNetY(design=TINY, dtype=policy)
    for layer in _all_layers(network):
        assert (layer.compute_dtype, layer.variable_dtype) == (compute, kept), layer.name
    assert {variable.dtype for variable in network.variables} == {kept}
    image = tf.random.stateless_normal([2, 32, 32, 3], seed=(0, 0))
    with tf.GradientTape() as tape:
        feature_map = network(image, training=True)
        loss = tf.reduce_sum(feature_map)
    gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
    assert feature_map.dtype == compute
    assert all(gradient is not None and bool(tf.reduce_all(tf.math.is_finite(gradient))) for gradient in gradients)
    assert models.pooled(network)(image).dtype == kept


def test_global_policy_is_the_default() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert models.RegNetY(design=TINY).get_layer("stem").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(before)


def test_initialisation_equals_the_released_code() -> None:
    keras.utils.set_random_seed(0)
    network = models.RegNetY("200MF")
    for variable in network.variables:
        value, name = variable.numpy(), variable.path.rsplit("/", maxsplit=1)[-1]
        if "kernel" in name:  # fan out = k * k * filters, without a division by the groups
            side, _, _, filters = value.shape
            expected, spread = (2.0 / (side * side * filters)) ** 0.5, 5 / value.size**0.5
            assert value.std() == pytest.approx(expected, rel=spread), variable.path
            assert np.abs(value).max() > 2.1 * expected or value.size < 200, variable.path  # not truncated
        elif name in ("reduce_bias", "expand_bias"):
            fan_in = network_fan_in(network, variable.path)
            assert np.abs(value).max() <= fan_in**-0.5
            assert np.abs(value).max() > 0.5 * fan_in**-0.5 or value.size < 8, variable.path
        else:
            assert np.all(value == (1.0 if name in ("gamma", "moving_variance") else 0.0)), variable.path


def network_fan_in(network: keras.Model, path: str) -> int:
    """Returns the input width of the squeeze-and-excitation product that has this bias."""
    by_path = {variable.path: variable for variable in network.variables}
    return by_path[path.replace("bias", "kernel")].shape[2]


def test_keras_fits_a_classifier_on_the_network() -> None:
    network = models.pooled(models.RegNetY(design=TINY))
    classifier = keras.Model(network.input, keras.layers.Dense(2)(network.output))
    classifier.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    labels = np.arange(16) % 2
    images = np.random.default_rng(8).normal(size=(16, 32, 32, 3)) + labels[:, None, None, None]
    losses = classifier.fit(images, labels, epochs=3, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_summary_has_one_line_for_each_block(capsys: pytest.CaptureFixture[str]) -> None:
    models.RegNetY("400MF").summary()
    assert sum("(BottleneckBlock)" in line for line in capsys.readouterr().out.splitlines()) == 16


def test_the_backbone_has_the_settings_of_its_config() -> None:
    config = BackboneConfig("90MF", stem_stride=1, activation_checkpointing="block")
    network = models.build_backbone(config, synchronized=True, group_replicas=2, dtype="mixed_bfloat16")
    expected = {**dataclasses.asdict(config), "synchronized": True, "group_replicas": 2}
    for name in ("weights", "features"):  # The task reads the weights, and evaluations choose the features.
        del expected[name]
    assert {name: network.get_config()[name] for name in expected} == expected
    assert network.compute_dtype == "bfloat16"


@pytest.mark.parametrize("kwargs", [{"stem_stride": 3}, {"variant": "401MF"}])
def test_wrong_arguments_are_refused(kwargs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="stem_stride is 3|'401MF'"):
        models.RegNetY(**kwargs)
