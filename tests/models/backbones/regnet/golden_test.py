"""The tiny RegNetY in `tests/golden`: weights of the released code give the numbers of the released code."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seer_tf import models
from seer_tf.models.backbones.regnet.design import RegNetDesign
from tests import places

GOLDEN = np.load(places.GOLDEN / "tiny_regnety.npz")
DESIGN = ("depth", "w_0", "w_a", "w_m", "group_width")
DEPTHS = (1, 2, 3)
# Parts of a block: path of our variable -> released name.
CONVOLUTIONS = {
    "shortcut/kernel": "proj.weight",
    "a/kernel": "f.a.0.weight",
    "b/kernel": "f.b.0.weight",
    "se/reduce_kernel": "f.se.excitation.0.weight",
    "se/expand_kernel": "f.se.excitation.2.weight",
    "c/kernel": "f.c.weight",
}
BIASES = {"se/reduce_bias": "f.se.excitation.0.bias", "se/expand_bias": "f.se.excitation.2.bias"}
NORMS = {"shortcut_bn": "bn", "a_bn": "f.a.1", "b_bn": "f.b.1", "c_bn": "f.final_bn"}
STATISTICS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}/{statistic}": f"{theirs}.{name}" for statistic, name in STATISTICS.items()}


def _released_names() -> dict[str, str]:
    """Returns the released name of every variable of the tiny backbone, by path."""
    names = {"stem/conv/kernel": "conv1.stem.0.weight", **_norm("stem/bn", "conv1.stem.1")}
    for stage, depth in enumerate(DEPTHS, start=1):
        for block in range(depth):
            ours, theirs = f"stage{stage}_block{block + 1}", f"res{stage + 1}.block{stage}-{block}"
            parts = {**CONVOLUTIONS, **BIASES}
            for norm, name in NORMS.items():
                parts |= _norm(norm, name)
            names |= {f"{ours}/{part}": f"{theirs}.{name}" for part, name in parts.items()}
    return names


def _to_keras(array: np.ndarray) -> np.ndarray:
    """Transposes PyTorch's (out, in, h, w) to (h, w, in, out)."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


@pytest.fixture
def backbone() -> models.RegNetY:
    network = models.RegNetY(design=RegNetDesign(*(GOLDEN[name].item() for name in DESIGN)))
    names = _released_names()
    for variable in network.variables:
        variable.assign(_to_keras(GOLDEN[f"trunk:_feature_blocks.{names[variable.path]}"]))
    return network


@pytest.fixture
def head() -> models.SwavHead:
    layer = models.SwavHead((64, 64), 32, 50, batch_norm=False)
    layer.build((None, 152))
    for number, linear in enumerate(layer.linears):
        linear.kernel.assign(GOLDEN[f"heads:0.projection_head.{2 * number}.weight"].T)
        linear.bias.assign(GOLDEN[f"heads:0.projection_head.{2 * number}.bias"])
    layer.prototypes.assign(GOLDEN["heads:0.prototypes0.weight"])
    return layer


def _names(kind: str) -> set[str]:
    """Returns the names of all golden numbers of a kind, so that no number is left out."""
    return {name.removeprefix(kind) for name in GOLDEN if name.startswith(kind)}


def _relative_error(ours: tf.Tensor, theirs: np.ndarray) -> float:
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def test_inference_equals_the_released_code(backbone: models.RegNetY, head: models.SwavHead) -> None:
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs)(GOLDEN["image"])
    pooled = models.pooled(backbone)(GOLDEN["image"])
    embedding, scores = head(pooled)
    ours = {
        "stem": pyramid["P1"],
        "stage1": pyramid["P2"],
        "stage2": pyramid["P3"],
        "stage3": pyramid["P4"],
        "pooled": pooled,
        "embedding": embedding,
        "prototype_scores": scores,
    }
    assert ours.keys() == {name for name in GOLDEN if ":" not in name} - {"image", "train_pooled", *DESIGN}
    for name, value in ours.items():
        assert _relative_error(value, GOLDEN[name]) < 1e-5, name


def test_training_equals_the_released_code(backbone: models.RegNetY) -> None:
    network = models.pooled(backbone)
    with tf.GradientTape() as tape:
        pooled = network(GOLDEN["image"], training=True)
        loss = tf.reduce_mean(tf.square(pooled))
    assert _relative_error(pooled, GOLDEN["train_pooled"]) < 1e-5
    gradients = tape.gradient(loss, backbone.trainable_variables)
    by_path = dict(zip((variable.path for variable in backbone.trainable_variables), gradients, strict=True))
    ours = {
        "stem.stem.0.weight": "stem/conv/kernel",
        "block1.block1-0.f.b.0.weight": "stage1_block1/b/kernel",
        "block2.block2-0.f.b.0.weight": "stage2_block1/b/kernel",
        "block3.block3-0.f.b.0.weight": "stage3_block1/b/kernel",
    }
    assert ours.keys() == _names("grad:")
    for theirs, path in ours.items():
        assert _relative_error(by_path[path], _to_keras(GOLDEN[f"grad:{theirs}"])) < 1e-4, path


def test_moving_statistics_equal_the_released_code(backbone: models.RegNetY) -> None:
    backbone(GOLDEN["image"], training=True)
    by_path = {variable.path: variable for variable in backbone.variables}
    ours = {
        f"{theirs}.{STATISTICS[statistic]}": f"{path}/{statistic}"
        for path, theirs in (("stem/bn", "stem.stem.1"), ("stage1_block1/shortcut_bn", "block1.block1-0.bn"))
        for statistic in ("moving_mean", "moving_variance")
    }
    assert ours.keys() == _names("running_after_one_step:")
    for theirs, path in ours.items():
        assert _relative_error(by_path[path], GOLDEN[f"running_after_one_step:{theirs}"]) < 1e-5, path
