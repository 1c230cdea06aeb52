"""ResNets against torchvision's numbers of parameters, a block in NumPy, and the cost of what is built."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf.config import BackboneConfig
from seer_tf.errors import InputError
from seer_tf.models.backbones.registry import backbone_cost, build_backbone
from seer_tf.models.backbones.resnet.design import ResNetDesign
from seer_tf.models.backbones.resnet.network import ResidualBlock, ResNet, ResNetStem
from tests.references.regnet import convolve, normalize

_TINY = ResNetDesign((1, 2), groups=2, group_width=4)


# torchvision's model pages, less the classifier's 2,049,000; multiply-adds at 224 px there: 4.09, 7.80 and 16.41 G.
@pytest.mark.parametrize(
    ("variant", "parameters", "multiply_adds"),
    [
        ("resnet50", 25_557_032 - 2_049_000, 4.09e9),
        ("resnet101", 44_549_160 - 2_049_000, 7.80e9),
        ("resnext101_32x8d", 88_791_336 - 2_049_000, 16.41e9),
    ],
)
def test_sizes_are_those_of_torchvision(variant: str, parameters: int, multiply_adds: float) -> None:
    cost = backbone_cost(BackboneConfig(variant))
    assert sum(cost.weight_sizes) == parameters
    assert cost.multiply_adds(224) == pytest.approx(multiply_adds, rel=0.002)
    assert cost.feature_width == 2048


@pytest.mark.slow
def test_the_cost_is_that_of_the_network() -> None:
    network, cost = build_backbone(BackboneConfig("resnet50")), backbone_cost(BackboneConfig("resnet50"))
    assert cost.weight_sizes == [int(np.prod(weight.shape)) for weight in network.trainable_variables]
    assert sorted(cost.normalized_widths) == sorted(
        weight.shape[0] for weight in network.variables if weight.path.endswith("moving_mean")
    )
    maps = keras.Model(network.input, network.pyramid_outputs).compute_output_shape((1, 50, 50, 3))
    assert maps == {"P2": (1, 13, 13, 256), "P3": (1, 7, 7, 512), "P4": (1, 4, 4, 1024), "P5": (1, 2, 2, 2048)}
    assert cost.blocks(50)[-1].outer == 2 * 2 * 2048
    assert cost.blocks(50)[-1].stage == 3 and cost.stem_elements(50) == 64 * 25**2


def _randomize(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    random, prefix = np.random.default_rng(6), f"{layer.name}/"
    for variable in layer.variables:
        around = 1.0 if variable.path.endswith(("gamma", "moving_variance")) else 0.0
        variable.assign(around + random.uniform(-0.5, 0.5, size=variable.shape))
    return {variable.path.removeprefix(prefix): variable.numpy() for variable in layer.variables}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("width_in", "strides"), [(6, 1), (8, 1), (8, 2)])
def test_block_equals_the_oracle(width_in: int, strides: int, training: bool) -> None:
    block = ResidualBlock(8, inner_width=4, groups=2, strides=strides, name="block", dtype="float64")
    x = np.random.default_rng(5).normal(size=(2, 5, 4, width_in))
    block.build(x.shape)
    weights = _randomize(block)
    inner = x
    for name, how in (("a", {}), ("b", {"strides": strides, "groups": 2}), ("c", {})):
        inner = normalize(convolve(inner, weights[f"{name}/kernel"], **how), weights, f"{name}_bn", training=training)
        inner = inner if name == "c" else np.maximum(inner, 0)
    shortcut = x
    if "shortcut/kernel" in weights:
        shortcut = convolve(x, weights["shortcut/kernel"], strides=strides)
        shortcut = normalize(shortcut, weights, "shortcut_bn", training=training)
    expected = np.maximum(shortcut + inner, 0)
    np.testing.assert_allclose(block(x, training=training), expected, rtol=1e-10, atol=1e-12)
    assert block.compute_output_shape(x.shape) == expected.shape
    assert ("shortcut/kernel" in weights) == (width_in != 8 or strides != 1)


def test_stem_equals_the_oracle() -> None:
    stem = ResNetStem(4, name="stem", dtype="float64")
    x = np.random.default_rng(5).normal(size=(1, 9, 12, 3))
    stem.build(x.shape)
    weights = _randomize(stem)
    maps = np.maximum(normalize(convolve(x, weights["conv/kernel"], strides=2), weights, "bn", training=False), 0)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = [
        [padded[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max(axis=(0, 1)) for column in range(3)]
        for row in range(3)
    ]
    np.testing.assert_allclose(stem(x)[0], expected, rtol=1e-10)
    assert stem.compute_output_shape(x.shape) == (1, 3, 3, 4)


@pytest.mark.parametrize("kind", ["block", pytest.param("stage", marks=pytest.mark.slow)])
def test_recomputing_changes_no_number(kind: str) -> None:
    plain = ResNet("tiny", design=_TINY, stem_stride=1, dtype="float64")
    other = plain.remade(activation_checkpointing=kind)
    values = {variable.path: variable for variable in plain.variables}
    for variable in other.variables:
        variable.assign(values[variable.path])
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 8, 8, 3)))
    gradients = []
    for network in (plain, other):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(x, training=True) ** 2)
        weights = {variable.path: variable.value for variable in network.trainable_variables}
        gradients.append(tape.gradient(loss, weights))
    for path, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][path], gradient, rtol=1e-9, atol=1e-12)
    for variable in other.non_trainable_variables:
        np.testing.assert_array_equal(variable, values[variable.path])
    assert len(plain.variables) == len(other.variables)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="there is no ResNet variant 'resnet51'"):
        ResNet("resnet51")
    with pytest.raises(InputError, match="set it to none or block or stage"):
        build_backbone(BackboneConfig("resnet50", activation_checkpointing="convolution"))
