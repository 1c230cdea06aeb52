"""The names of variables in the three layouts. The test states all names again, stage by stage and block by block."""

from collections.abc import Iterator

import pytest

from seer_tf.models import RegNetY
from seer_tf.models.backbones.regnet.key_layouts import (
    HUGGING_FACE,
    LAYOUTS,
    TIMM,
    TORCHVISION,
    VISSL,
    KeyLayout,
    find_layout,
    without_parts,
)

_NORM = ("weight", "bias", "running_mean", "running_var")
_DEPTHS_10B = (2, 7, 17, 1)
_FIRST_OF_SECOND_PART = 9  # in the third stage of the 10B network, the only stage with two parts


def _paths(depths: tuple[int, ...]) -> list[str]:
    """Returns the variable paths of a RegNetY with stages of these depths."""
    network = RegNetY("90MF")
    of_block = [path for path in (variable.path for variable in network.variables) if path.startswith("stage2_block1/")]
    paths = [variable.path for variable in network.variables if variable.path.startswith("stem/")]
    for stage, depth in enumerate(depths, start=1):
        for block in range(1, depth + 1):
            here = [path.replace("stage2_block1", f"stage{stage}_block{block}") for path in of_block]
            paths += [path for path in here if block == 1 or "shortcut" not in path]
    return paths


def _vissl_names(depths: tuple[int, ...], *, in_parts: bool) -> Iterator[str]:
    """Yields the trunk names in a VISSL file. A sharded file has a part above each block."""
    yield "_feature_blocks.conv1.stem.0.weight"
    yield from (f"_feature_blocks.conv1.stem.1.{leaf}" for leaf in _NORM)
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            part = int(stage == 3 and block >= _FIRST_OF_SECOND_PART)
            above = f"block{stage}-part{part}." if in_parts else ""
            name = f"_feature_blocks.res{stage + 1}.{above}block{stage}-{block}"
            yield from (f"{name}.{conv}.weight" for conv in ("f.a.0", "f.b.0", "f.c"))
            yield from (f"{name}.{norm}.{leaf}" for norm in ("f.a.1", "f.b.1", "f.final_bn") for leaf in _NORM)
            yield from (f"{name}.f.se.excitation.{layer}.{leaf}" for layer in (0, 2) for leaf in ("weight", "bias"))
            if block == 0:
                yield f"{name}.proj.weight"
                yield from (f"{name}.bn.{leaf}" for leaf in _NORM)


@pytest.mark.parametrize("in_parts", [False, True])
def test_every_variable_of_the_10b_network_has_its_name(in_parts: bool) -> None:
    """The test fails if a name is used twice or left over, or if a part of a sharded stage is not removed."""
    names = [without_parts(name) for name in _vissl_names(_DEPTHS_10B, in_parts=in_parts)]
    ours = [VISSL.key(path) for path in _paths(_DEPTHS_10B)]
    assert len(set(names)) == len(names) == len(ours) == 5 + 27 * 19 + 4 * 5
    assert set(ours) == set(names)


@pytest.mark.parametrize(
    ("layout", "path", "name"),
    [
        (VISSL, "stage3_block10/a/kernel", "_feature_blocks.res4.block3-9.f.a.0.weight"),
        (VISSL, "stage1_block1/shortcut_bn/moving_variance", "_feature_blocks.res2.block1-0.bn.running_var"),
        (HUGGING_FACE, "stem/bn/beta", "embedder.embedder.normalization.bias"),
        (HUGGING_FACE, "stage1_block2/b/kernel", "encoder.stages.0.layers.1.layer.1.convolution.weight"),
        (HUGGING_FACE, "stage4_block1/se/reduce_bias", "encoder.stages.3.layers.0.layer.2.attention.0.bias"),
        (HUGGING_FACE, "stage2_block1/shortcut/kernel", "encoder.stages.1.layers.0.shortcut.convolution.weight"),
        (TIMM, "stem/conv/kernel", "stem.conv.weight"),
        (TIMM, "stage1_block2/c_bn/gamma", "s1.b2.conv3.bn.weight"),
        (TIMM, "stage4_block1/se/expand_kernel", "s4.b1.se.fc2.weight"),
        (TIMM, "stage2_block1/shortcut_bn/moving_mean", "s2.b1.downsample.bn.running_mean"),
        (TORCHVISION, "stem/bn/gamma", "stem.1.weight"),
        (TORCHVISION, "stage2_block1/shortcut/kernel", "trunk_output.block2.block2-0.proj.0.weight"),
        (TORCHVISION, "stage3_block6/c_bn/moving_variance", "trunk_output.block3.block3-5.f.c.1.running_var"),
        (TORCHVISION, "stage4_block1/se/expand_bias", "trunk_output.block4.block4-0.f.se.fc2.bias"),
    ],
)
def test_a_path_has_the_stated_name(layout: KeyLayout, path: str, name: str) -> None:
    assert layout.key(path) == name


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_has_a_unique_name_for_every_variable(layout: KeyLayout) -> None:
    paths = _paths((1, 3))
    assert len({layout.key(path) for path in paths}) == len(paths)
    with pytest.raises(ValueError, match="is no variable of such a backbone"):
        layout.key("head/linear1/kernel")


@pytest.mark.parametrize(
    ("name", "layout", "prefix"),
    [
        (
            "classy_state_dict.base_model.model.trunk._feature_blocks.conv1.stem.0.weight",
            VISSL,
            "classy_state_dict.base_model.model.trunk.",
        ),
        ("embedder.embedder.convolution.weight", HUGGING_FACE, ""),
        ("regnet.embedder.embedder.convolution.weight", HUGGING_FACE, "regnet."),
        ("stem.conv.weight", TIMM, ""),
        ("stem.0.weight", TORCHVISION, ""),
        ("model.stem.0.weight", TORCHVISION, "model."),
    ],
)
def test_the_stem_tells_the_layout(name: str, layout: KeyLayout, prefix: str) -> None:
    assert find_layout(["something.else", name]) == (layout, prefix)


def test_other_networks_have_no_layout() -> None:
    assert find_layout(["conv1.weight", "layer1.0.conv1.weight", "system.conv.weight"]) is None
